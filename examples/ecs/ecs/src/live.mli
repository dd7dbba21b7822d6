(** The answers over the WebSocket. A message asks for a range of sizes:
    [{"structure": "binary-trees", "from": 0, "to": 30}]; each count is a message of its own, sent as soon as it is
    known, as {!Answers.count} has it, and then [{"structure": …, "done": 31}] says how many there were. A
    message that is not understood is answered by {!Answers.error}. *)

val session : Config.t -> stop:unit Lwt.t -> Lwt_io.input_channel * Lwt_io.output_channel -> unit Lwt.t
(** One connection, from its handshake to its end. When [stop] is resolved, the peer is told that the server goes
    away. Never fails. *)
