(** Counting combinatorial structures from their specification.

    A specification is a grammar: [binary trees = atom + binary trees * binary trees].
    [count] gives the number of structures of each size, exactly. *)

type specification =
  | Epsilon  (** the structure of size 0 *)
  | Atom  (** the structure of size 1 *)
  | Union of specification * specification  (** disjoint *)
  | Product of specification * specification
  | Sequence of specification  (** of any length; its elements have no size 0 *)
  | Name of string  (** what the grammar gives for that name *)

type grammar = (string * specification) list

exception Ill_founded of string
(** There are infinitely many structures of one size, or a name is not defined. *)

val count : grammar -> string -> int -> Z.t array
(** [count grammar name n] is the number of structures of [name] of sizes 0 to [n].
    @raise Ill_founded as said above. *)

val known : (string * grammar) list
(** Grammars by name; the first name of each is what is counted. *)
