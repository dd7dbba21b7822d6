type specification =
  | Epsilon
  | Atom
  | Union of specification * specification
  | Product of specification * specification
  | Sequence of specification
  | Name of string

type grammar = (string * specification) list

exception Ill_founded of string

(* A series is the array of its coefficients of z^0 to z^n. *)

let constant n size value = Array.init (n + 1) (fun i -> if i = size then value else Z.zero)

let product a b =
  Array.mapi
    (fun k _ ->
      let sum = ref Z.zero in
      for i = 0 to k do
        if Z.sign a.(i) <> 0 then sum := Z.add !sum (Z.mul a.(i) b.(k - i))
      done;
      !sum)
    a

(* 1 / (1 - a): s = 1 + a s, coefficient by coefficient. *)
let sequence a =
  if Z.sign a.(0) <> 0 then raise (Ill_founded "a sequence of structures of size 0");
  let s = Array.map (fun _ -> Z.zero) a in
  s.(0) <- Z.one;
  for k = 1 to Array.length a - 1 do
    for i = 1 to k do
      s.(k) <- Z.add s.(k) (Z.mul a.(i) s.(k - i))
    done
  done;
  s

let rec series n values = function
  | Epsilon -> constant n 0 Z.one
  | Atom -> constant n 1 Z.one
  | Union (a, b) -> Array.map2 Z.add (series n values a) (series n values b)
  | Product (a, b) -> product (series n values a) (series n values b)
  | Sequence a -> sequence (series n values a)
  | Name name -> (
      match List.assoc_opt name values with
      | Some value -> value
      | None -> raise (Ill_founded (name ^ " is not defined")))

(* The coefficients are the least fixed point of the grammar. From zero, each round
   through all the names settles at least one more size of one of them; a grammar
   that goes on changing after that has infinitely many structures of a size. *)
let count grammar name n =
  let rounds = (n + 2) * (List.length grammar + 1) in
  let rec settle round values =
    if round > rounds then raise (Ill_founded name);
    let next = List.map (fun (name, spec) -> (name, series n values spec)) grammar in
    if List.for_all2 (fun (_, a) (_, b) -> Array.for_all2 Z.equal a b) values next then values
    else settle (round + 1) next
  in
  let zero = List.map (fun (name, _) -> (name, constant n (-1) Z.zero)) grammar in
  series n (settle 0 zero) (Name name)

let known =
  let product3 a b c = Product (a, Product (b, c)) in
  [
    (* Binary trees by inner nodes. *)
    ("catalan", [ ("catalan", Union (Epsilon, product3 Atom (Name "catalan") (Name "catalan"))) ]);
    (* Paths of steps up, level and down that stay above the ground. *)
    ( "motzkin",
      [
        ( "motzkin",
          Union
            ( Epsilon,
              Union
                ( Product (Atom, Name "motzkin"),
                  Product (Atom, product3 (Name "motzkin") Atom (Name "motzkin")) ) ) );
      ] );
    (* Plane trees by nodes: a node and the sequence of its children. *)
    ("plane-trees", [ ("plane-trees", Product (Atom, Sequence (Name "plane-trees"))) ]);
    (* Sums of ones and twos, in order. *)
    ("fibonacci", [ ("fibonacci", Sequence (Union (Atom, Product (Atom, Atom)))) ]);
  ]
