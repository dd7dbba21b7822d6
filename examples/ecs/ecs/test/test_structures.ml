(* The counts against the terms that the On-Line Encyclopedia of Integer Sequences lists, and large ones against
   published values and other formulas. *)

let failures = ref 0

let check subject expected got =
  if expected = got then Printf.printf "ok       %s\n" subject
  else begin
    incr failures;
    Printf.printf "FAILED   %s\n  expected %s\n  got      %s\n" subject expected got
  end

let structure name = Option.get (Structures.find name)
let count name size = Z.to_string (Structures.count (structure name) size)

let first_terms =
  [
    ("binary-trees", "A000108", [ 1; 1; 2; 5; 14; 42; 132; 429; 1430; 4862; 16796; 58786; 208012 ]);
    ("motzkin-paths", "A001006", [ 1; 1; 2; 4; 9; 21; 51; 127; 323; 835; 2188; 5798; 15511 ]);
    ("schroeder-paths", "A006318", [ 1; 2; 6; 22; 90; 394; 1806; 8558; 41586; 206098; 1037718 ]);
    ("set-partitions", "A000110", [ 1; 1; 2; 5; 15; 52; 203; 877; 4140; 21147; 115975; 678570; 4213597 ]);
    ("integer-partitions", "A000041", [ 1; 1; 2; 3; 5; 7; 11; 15; 22; 30; 42; 56; 77; 101; 135; 176 ]);
    ("permutations", "A000142", [ 1; 1; 2; 6; 24; 120; 720; 5040; 40320; 362880; 3628800 ]);
    ("derangements", "A000166", [ 1; 0; 1; 2; 9; 44; 265; 1854; 14833; 133496; 1334961 ]);
    ("involutions", "A000085", [ 1; 1; 2; 4; 10; 26; 76; 232; 764; 2620; 9496; 35696 ]);
    ("rooted-trees", "A000081", [ 0; 1; 1; 2; 4; 9; 20; 48; 115; 286; 719; 1842; 4766; 12486 ]);
    ("labelled-trees", "A000272", [ 1; 1; 1; 3; 16; 125; 1296; 16807; 262144; 4782969; 100000000 ]);
  ]

let check_first_terms (name, oeis, terms) =
  check (name ^ ": its sequence") oeis (Structures.oeis (structure name));
  check (name ^ ": its first terms")
    (String.concat " " (List.map string_of_int terms))
    (String.concat " " (List.mapi (fun size _ -> count name size) terms))

let sum last f = List.fold_left (fun total k -> Z.add total (f k)) Z.zero (List.init (last + 1) Fun.id)
let catalan n = Z.divexact (Z.bin (Z.of_int (2 * n)) n) (Z.of_int (n + 1))
let choose n k = Z.bin (Z.of_int n) k

(* Closed forms, which have nothing of the recurrences that are tested. *)
let closed_forms =
  [
    ("binary-trees", catalan);
    ("motzkin-paths", fun n -> sum (n / 2) (fun k -> Z.mul (choose n (2 * k)) (catalan k)));
    ("schroeder-paths", fun n -> sum n (fun k -> Z.mul (choose (n + k) (2 * k)) (catalan k)));
    ("permutations", Z.fac);
    ( "derangements",
      fun n -> sum n (fun k -> (if k land 1 = 0 then Fun.id else Z.neg) (Z.divexact (Z.fac n) (Z.fac k))) );
    ( "involutions",
      fun n -> sum (n / 2) (fun k -> Z.divexact (Z.fac n) (Z.mul (Z.fac (n - (2 * k))) (Z.shift_left (Z.fac k) k))) );
  ]

let published =
  [
    ("binary-trees", 100, "896519947090131496687170070074100632420837521538745909320");
    ("set-partitions", 50, "185724268771078270438257767181908917499221852770");
    ("integer-partitions", 200, "3972999029388");
    ("integer-partitions", 1000, "24061467864032622473692149727991");
    ("permutations", 30, "265252859812191058636308480000000");
    ("rooted-trees", 60, "16486885726043465205200778");
    ("labelled-trees", 12, "61917364224");
  ]

let () =
  List.iter check_first_terms first_terms;
  check "each structure has its terms here"
    (String.concat " " (List.map (fun (name, _, _) -> name) first_terms))
    (String.concat " " (List.map Structures.name Structures.all));
  List.iter
    (fun (name, size, expected) -> check (Printf.sprintf "%s of size %d" name size) expected (count name size))
    published;
  List.iter
    (fun (name, closed_form) ->
      check (name ^ " of size 400, by its closed form") (Z.to_string (closed_form 400)) (count name 400))
    closed_forms;
  check "what was counted is remembered" (count "binary-trees" 7) "429";
  check "an unknown name" "none" (match Structures.find "unheard-of" with None -> "none" | Some _ -> "found");
  check "a negative size" "refused"
    (match count "permutations" (-1) with exception Invalid_argument _ -> "refused" | n -> n);
  if !failures > 0 then exit 1
