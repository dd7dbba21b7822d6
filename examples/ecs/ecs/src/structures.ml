type t = {
  name : string;
  title : string;
  oeis : string;
  term : (int -> Z.t) -> int -> Z.t; (* the count of a size, given those of smaller ones *)
  mutable counts : Z.t array; (* of sizes 0 to [known] - 1; then room *)
  mutable known : int;
}

let name structure = structure.name
let title structure = structure.title
let oeis structure = structure.oeis

let make_room structure size =
  let room = Array.length structure.counts in
  if size >= room then begin
    let wider = Array.make (max (size + 1) (2 * room)) Z.zero in
    Array.blit structure.counts 0 wider 0 structure.known;
    structure.counts <- wider
  end

let count structure size =
  if size < 0 then invalid_arg "Structures.count: negative size";
  make_room structure size;
  let smaller n =
    assert (n < structure.known);
    structure.counts.(n)
  in
  while structure.known <= size do
    structure.counts.(structure.known) <- structure.term smaller structure.known;
    structure.known <- structure.known + 1
  done;
  structure.counts.(size)

let times n z = Z.mul (Z.of_int n) z
let over z n = Z.divexact z (Z.of_int n)

(* The sum of [f first], …, [f last]. *)
let sum first last f =
  let rec add total n = if n > last then total else add (Z.add total (f n)) (n + 1) in
  add Z.zero first

let binary_trees c n = if n = 0 then Z.one else over (times (2 * ((2 * n) - 1)) (c (n - 1))) (n + 1)

let motzkin_paths m n =
  if n < 2 then Z.one
  else over (Z.add (times ((2 * n) + 1) (m (n - 1))) (times (3 * (n - 1)) (m (n - 2)))) (n + 2)

let schroeder_paths s n =
  match n with
  | 0 -> Z.one
  | 1 -> Z.of_int 2
  | _ -> over (Z.sub (times (3 * ((2 * n) - 1)) (s (n - 1))) (times (n - 2) (s (n - 2)))) (n + 1)

(* The block of the element n has k others; the rest is partitioned in its turn. The binomial coefficient goes
   along from term to term. *)
let set_partitions b n =
  let rec add total binomial k =
    if k >= n then total
    else add (Z.add total (Z.mul binomial (b (n - 1 - k)))) (over (times (n - 1 - k) binomial) (k + 1)) (k + 1)
  in
  if n = 0 then Z.one else add Z.zero Z.one 0

(* Euler's pentagonal number theorem. *)
let integer_partitions p n =
  let term k m = if m > n then Z.zero else if k land 1 = 1 then p (n - m) else Z.neg (p (n - m)) in
  let rec add total k =
    let pentagonal = k * ((3 * k) - 1) / 2 in
    if pentagonal > n then total
    else add (Z.add total (Z.add (term k pentagonal) (term k (pentagonal + k)))) (k + 1)
  in
  if n = 0 then Z.one else add Z.zero 1

let permutations p n = if n = 0 then Z.one else times n (p (n - 1))

let derangements d n =
  match n with
  | 0 -> Z.one
  | 1 -> Z.zero
  | _ -> times (n - 1) (Z.add (d (n - 1)) (d (n - 2)))

let involutions i n = if n < 2 then Z.one else Z.add (i (n - 1)) (times (n - 1) (i (n - 2)))

(* A node and a multiset of rooted trees: the Euler transform, by logarithmic derivative. *)
let rooted_trees t n =
  if n < 2 then Z.of_int n
  else
    let copies d = sum 1 ((n - 1) / d) (fun j -> t (n - (j * d))) in
    over (sum 1 (n - 1) (fun d -> Z.mul (times d (t d)) (copies d))) (n - 1)

let labelled_trees _ n = if n < 2 then Z.one else Z.pow (Z.of_int n) (n - 2)

let all =
  List.map
    (fun (name, oeis, term, title) -> { name; title; oeis; term; counts = [||]; known = 0 })
    [
      ("binary-trees", "A000108", binary_trees, "Binary trees by inner nodes");
      ("motzkin-paths", "A001006", motzkin_paths, "Motzkin paths by steps");
      ("schroeder-paths", "A006318", schroeder_paths, "Large Schröder paths by semilength");
      ("set-partitions", "A000110", set_partitions, "Partitions of a set by elements");
      ("integer-partitions", "A000041", integer_partitions, "Partitions of an integer");
      ("permutations", "A000142", permutations, "Permutations by elements");
      ("derangements", "A000166", derangements, "Permutations without fixed point by elements");
      ("involutions", "A000085", involutions, "Involutions by elements");
      ("rooted-trees", "A000081", rooted_trees, "Unlabelled rooted trees by nodes");
      ("labelled-trees", "A000272", labelled_trees, "Labelled trees by nodes");
    ]

let find name = List.find_opt (fun structure -> structure.name = name) all
