open Lwt.Syntax

type request = { structure : Structures.t; first : int; last : int }

let request_of_string config message =
  let open Yojson.Safe.Util in
  match Yojson.Safe.from_string message with
  | exception Yojson.Json_error _ -> Error "not JSON"
  | json -> (
      match (member "structure" json |> to_string, member "from" json |> to_int, member "to" json |> to_int) with
      | exception Type_error _ -> Error "a request has a structure, and numbers from and to"
      | name, first, last -> (
          match Structures.find name with
          | None -> Error "no such structure"
          | Some _ when not (0 <= first && first <= last && last <= config.Config.max_size) ->
              Error (Printf.sprintf "sizes go up from 0 to %d" config.max_size)
          | Some structure -> Ok { structure; first; last }))

let send connection json = Websocket.send connection (Yojson.Safe.to_string json)

let answer connection { structure; first; last } =
  let rec from size =
    if size > last then
      send connection
        (`Assoc [ ("structure", `String (Structures.name structure)); ("done", `Int (last - first + 1)) ])
    else
      let* count = Answers.count structure size in
      let* () = send connection count in
      from (size + 1)
  in
  from first

let rec talk config connection =
  let* message = Websocket.receive connection in
  let* () =
    match request_of_string config message with
    | Ok request ->
        Log.line "websocket %s %d-%d" (Structures.name request.structure) request.first request.last;
        answer connection request
    | Error words ->
        Log.line "websocket refused: %s" words;
        send connection (Answers.error words)
  in
  talk config connection

(* Proxies close idle connections, Apache after a minute. *)
let rec keep_alive connection =
  let* () = Lwt_unix.sleep 25. in
  let* () = Websocket.ping connection in
  keep_alive connection

(* Read on for a while, so that our last words reach the peer: an end of the connection with something unread
   would overtake them. *)
let drain input =
  let rec read () =
    let* piece = Lwt_io.read ~count:4096 input in
    if piece = "" then Lwt.return_unit else read ()
  in
  Lwt.pick [ read (); Lwt_unix.sleep 1. ]

let go_away connection stop =
  let* () = stop in
  Websocket.close connection 1001 "the server stops"

let converse config ~stop (input, output) =
  let* connection = Lwt_unix.with_timeout 10. (fun () -> Websocket.accept input output) in
  Lwt.pick [ talk config connection; keep_alive connection; go_away connection stop ]

let session config ~stop (input, output) =
  let ignore_failure f = Lwt.catch f (fun _ -> Lwt.return_unit) in
  let* () =
    Lwt.catch
      (fun () -> converse config ~stop (input, output))
      (function
        | Websocket.Closed -> Lwt.return_unit
        | Websocket.Refused why -> Lwt.return (Log.line "websocket refused: %s" why)
        | e -> Lwt.return (Log.line "websocket ended: %s" (Printexc.to_string e)))
  in
  ignore_failure (fun () -> drain input)
