(* Each count is checked against something that knows nothing of grammars: a closed
   form, a recurrence, or all the structures listed one by one. *)

open Structures

let failures = ref 0

let check subject expected got =
  let show a = String.concat " " (List.map Z.to_string (Array.to_list a)) in
  if Array.for_all2 Z.equal expected got then Printf.printf "ok       %s\n" subject
  else begin
    incr failures;
    Printf.printf "FAILED   %s\n  expected %s\n  got      %s\n" subject (show expected) (show got)
  end

let counted name n = count (List.assoc name known) name n

(* Catalan(n) = binomial(2n, n) / (n + 1). *)
let catalan n = Z.divexact (Z.bin (Z.of_int (2 * n)) n) (Z.of_int (n + 1))

(* (n + 2) M(n) = (2n + 1) M(n-1) + 3 (n - 1) M(n-2). *)
let motzkin n =
  let m = Array.make (n + 1) Z.one in
  for i = 2 to n do
    let a = Z.mul (Z.of_int ((2 * i) + 1)) m.(i - 1) in
    let b = Z.mul (Z.of_int (3 * (i - 1))) m.(i - 2) in
    m.(i) <- Z.divexact (Z.add a b) (Z.of_int (i + 2))
  done;
  m

(* Paths of [length] steps among [steps] that end on the ground without going below it. *)
let paths steps length =
  let rec walk height left =
    if height < 0 then 0
    else if left = 0 then if height = 0 then 1 else 0
    else List.fold_left (fun sum step -> sum + walk (height + step) (left - 1)) 0 steps
  in
  Z.of_int (walk 0 length)

let fails subject f =
  match f () with
  | exception Ill_founded why -> Printf.printf "ok       %s: %s\n" subject why
  | _ ->
      incr failures;
      Printf.printf "FAILED   %s: was counted\n" subject

let () =
  check "binary trees against the closed form, to 120" (Array.init 121 catalan) (counted "catalan" 120);
  check "binary trees against Dyck paths, to 10"
    (Array.init 11 (fun n -> paths [ 1; -1 ] (2 * n)))
    (counted "catalan" 10);
  check "Motzkin paths against the recurrence, to 120" (motzkin 120) (counted "motzkin" 120);
  check "Motzkin paths against all paths, to 12"
    (Array.init 13 (paths [ 1; 0; -1 ]))
    (counted "motzkin" 12);
  check "plane trees of n + 1 nodes are as many as binary trees of n"
    (Array.init 61 catalan)
    (Array.sub (counted "plane-trees" 61) 1 61);
  check "sums of ones and twos are Fibonacci's numbers"
    (Array.map Z.of_int [| 1; 1; 2; 3; 5; 8; 13; 21; 34; 55 |])
    (counted "fibonacci" 9);
  fails "a = a + atom" (fun () -> count [ ("a", Union (Name "a", Atom)) ] "a" 5);
  fails "a sequence of nothing" (fun () -> count [ ("a", Sequence Epsilon) ] "a" 5);
  fails "a name without a definition" (fun () -> count [ ("a", Name "b") ] "a" 5);
  if !failures > 0 then exit 1
