(* count NAME N: how many structures of NAME there are of each size from 0 to N. *)

let usage () =
  prerr_endline "usage: count NAME N";
  prerr_endline ("names: " ^ String.concat " " (List.map fst Structures.known));
  exit 2

let () =
  match Sys.argv with
  | [| _; name; n |] -> (
      match (List.assoc_opt name Structures.known, int_of_string_opt n) with
      | Some grammar, Some n when n >= 0 ->
          Array.iteri
            (fun size number -> Printf.printf "%d %s\n" size (Z.to_string number))
            (Structures.count grammar name n)
      | _ -> usage ())
  | _ -> usage ()
