open Lwt.Syntax

let respond ?(headers = []) kind status body =
  Cohttp_lwt_unix.Server.respond_string ~status ~body
    ~headers:(Cohttp.Header.of_list (("Content-Type", kind) :: headers))
    ()

let json ?headers status value = respond ?headers "application/json" status (Yojson.Safe.to_string value ^ "\n")

(* A size has digits only: no sign, no prefix. *)
let size_of_string s =
  let is_digit c = '0' <= c && c <= '9' in
  if s <> "" && String.length s <= 9 && List.for_all is_digit (List.of_seq (String.to_seq s)) then int_of_string_opt s
  else None

let count config name size =
  match (Structures.find name, size_of_string size) with
  | None, _ -> json `Not_found (Answers.error "no such structure")
  | Some structure, Some size when size <= config.Config.max_size ->
      let* answer = Answers.count structure size in
      json `OK answer
  | Some _, _ -> json `Bad_request (Answers.error (Printf.sprintf "a size is a number from 0 to %d" config.max_size))

(* The page with the WebSocket's address in it; none: the browser makes it from the port. *)
let page config =
  let value =
    match config.Config.websocket_url with Some url -> `String url | None -> `Int config.Config.websocket
  in
  Page.before ^ Yojson.Safe.to_string value ^ Page.after

let get config path =
  match String.split_on_char '/' path with
  | [ ""; "" ] -> respond "text/html; charset=utf-8" `OK (page config)
  | [ ""; "structures" ] -> json `OK Answers.structures
  | [ ""; "count"; name; size ] -> count config name size
  | _ -> json `Not_found (Answers.error "no such page")

let callback config _connection request _body =
  let path = Uri.path (Cohttp.Request.uri request) in
  let+ response =
    match Cohttp.Request.meth request with
    | `GET -> get config path
    | _ -> json `Method_not_allowed (Answers.error "only GET") ~headers:[ ("Allow", "GET") ]
  in
  Log.line "http %s %s %s"
    (Cohttp.Code.string_of_method (Cohttp.Request.meth request))
    path
    (Cohttp.Code.string_of_status (Cohttp.Response.status (fst response)));
  response
