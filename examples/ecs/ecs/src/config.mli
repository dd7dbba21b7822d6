(** The configuration file, JSON:
    {v
    { "http": 9080,              the port of the pages and of the counts
      "websocket": 9081,         the port of the WebSocket
      "address": "0.0.0.0",      optional: where both listen; 0.0.0.0 is every address, as behind a proxy
      "websocket_url": "/ws",    optional: where browsers find the WebSocket, when not on its own port
      "log": "ecs.log",          optional: a path, relative to this file; default: standard error
      "max_size": 1000 }         optional: the largest size that is counted
    v} *)

type t = {
  http : int;
  websocket : int;
  address : Unix.inet_addr;
  websocket_url : string option;
  log : string option;
  max_size : int;
}

exception Invalid of string
(** The reason in words, with the file and the key. *)

val read : string -> t
(** @raise Invalid if the file cannot be read or a key is wrong. *)
