(** The log: a line for each request, with date and time (UTC). *)

val to_file : string -> unit
(** Append to it from now on; until then the log is standard error.
    @raise Sys_error when it cannot be opened. *)

val line : ('a, unit, string, unit) format4 -> 'a
