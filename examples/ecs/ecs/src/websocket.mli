(** The server's side of a WebSocket (RFC 6455): the handshake, then messages of text. *)

type t
(** A connection after its handshake. *)

exception Refused of string
(** The peer's request was not a handshake, and was answered with an HTTP error. *)

exception Closed
(** The connection is over: the peer closed it, or broke the protocol and was told so by a status code. *)

val accept : Lwt_io.input_channel -> Lwt_io.output_channel -> t Lwt.t
(** Read the peer's handshake and answer it, whatever path it asks for. At most 8 KiB are read.
    @raise Refused as said above.
    @raise End_of_file when the peer goes away. *)

val receive : t -> string Lwt.t
(** The next message, joined from its fragments, at most 64 KiB. Answers pings meanwhile.
    @raise Closed as said above. *)

val send : t -> string -> unit Lwt.t
(** Send a text; it must be UTF-8. *)

val ping : t -> unit Lwt.t

val close : t -> int -> string -> unit Lwt.t
(** [close connection status reason] tells the peer that nothing more will come. The caller then ends the connection. *)

val key_answer : string -> string
(** The server's answer to a Sec-WebSocket-Key. *)

val valid_utf_8 : string -> bool
