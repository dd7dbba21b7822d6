(** The encyclopedia: kinds of combinatorial structures, and how many there are of each size, exactly. *)

type t

val all : t list

val find : string -> t option
(** By its name. *)

val name : t -> string
(** As requests have it: lower case, with hyphens. *)

val title : t -> string
(** What is counted, and what a size is, for people. *)

val oeis : t -> string
(** The sequence's number in the On-Line Encyclopedia of Integer Sequences. *)

val count : t -> int -> Z.t
(** [count structure size]. What was computed once is remembered: a size costs little when the one before it is
    known, and nothing when it was asked before.
    @raise Invalid_argument when [size] is negative. *)
