(** The encyclopedia: kinds of combinatorial structures, and exactly how many there are of each size. *)

type t

val all : t list

val find : string -> t option
(** Find a structure by its name. *)

val name : t -> string
(** The name in requests: lower case, with hyphens. *)

val title : t -> string
(** A title for people: what is counted, by which size. *)

val oeis : t -> string
(** The sequence's number in the On-Line Encyclopedia of Integer Sequences. *)

val count : t -> int -> Z.t
(** [count structure size]. What was computed once is remembered: a size costs little when the one before it is
    known, and nothing when it was asked before.
    @raise Invalid_argument when [size] is negative. *)
