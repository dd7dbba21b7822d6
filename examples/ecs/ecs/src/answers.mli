(** The answers of both servers, as JSON. *)

val structures : Yojson.Safe.t
(** All structures: [{"name": …, "title": …, "oeis": …}]. *)

val count : Structures.t -> int -> Yojson.Safe.t Lwt.t
(** [{"structure": …, "size": …, "count": "…"}]: the count is a string, because it is larger than what other
    languages take for a number. Others are served while a large size is counted. *)

val error : string -> Yojson.Safe.t
(** [{"error": …}] *)
