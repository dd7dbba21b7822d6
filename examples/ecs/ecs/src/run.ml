(* run --config FILE: run the two servers until a TERM or INT. The exit status is 0, or 2 if it cannot start. *)

open Lwt.Syntax

let cannot_start words =
  prerr_endline ("ecs: " ^ words);
  exit 2

let configuration () =
  match Sys.argv with
  | [| _; "--config"; file |] -> ( try Config.read file with Config.Invalid words -> cannot_start words)
  | _ -> cannot_start "usage: run --config FILE"

let open_log config =
  try Option.iter Log.to_file config.Config.log with Sys_error words -> cannot_start ("log: " ^ words)

let socket_address config port = Unix.ADDR_INET (config.Config.address, port)

(* [listening port start] is the result of [start]; an error names the port. *)
let listening port start =
  Lwt.catch start (function
    | Unix.Unix_error (error, _, _) ->
        cannot_start (Printf.sprintf "cannot listen on port %d: %s" port (Unix.error_message error))
    | e -> Lwt.fail e)

let serve_http config ~stop =
  let address = socket_address config config.Config.http in
  let+ socket =
    listening config.http (fun () ->
        let socket = Lwt_unix.socket ~cloexec:true (Unix.domain_of_sockaddr address) Unix.SOCK_STREAM 0 in
        Lwt_unix.setsockopt socket Unix.SO_REUSEADDR true;
        let+ () = Lwt_unix.bind socket address in
        Lwt_unix.listen socket 128;
        socket)
  in
  Cohttp_lwt_unix.Server.create ~stop
    ~mode:(`TCP (`Socket socket))
    (Cohttp_lwt_unix.Server.make ~callback:(Pages.callback config) ())

let serve_websocket config ~stop =
  listening config.Config.websocket (fun () ->
      Lwt_io.establish_server_with_client_address
        (socket_address config config.websocket)
        (fun _ channels -> Live.session config ~stop channels))

(* The first process of a container gets only the signals that it handles. *)
let on_signals stop =
  List.iter (fun signal -> ignore (Lwt_unix.on_signal signal (fun _ -> stop ()))) [ Sys.sigterm; Sys.sigint ]

let () =
  let config = configuration () in
  open_log config;
  Sys.set_signal Sys.sigpipe Sys.Signal_ignore;
  let stop, stop_now = Lwt.wait () in
  on_signals (fun () -> if Lwt.is_sleeping stop then Lwt.wakeup_later stop_now ());
  Lwt_main.run
    (let* http = serve_http config ~stop in
     let* websocket = serve_websocket config ~stop in
     Log.line "listening: http on port %d, websocket on port %d" config.http config.websocket;
     let* () = http in
     let* () = Lwt_io.shutdown_server websocket in
     let+ () = Lwt_unix.sleep 0.2 in
     Log.line "stopped")
