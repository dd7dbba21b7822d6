open Lwt.Syntax

let structures : Yojson.Safe.t =
  `List
    (List.map
       (fun structure ->
         `Assoc
           [
             ("name", `String (Structures.name structure));
             ("title", `String (Structures.title structure));
             ("oeis", `String (Structures.oeis structure));
           ])
       Structures.all)

(* One size after the other, with a pause after each. *)
let count structure size =
  let rec from n =
    let count = Structures.count structure n in
    if n = size then Lwt.return count
    else
      let* () = Lwt.pause () in
      from (n + 1)
  in
  let+ count = from 0 in
  `Assoc
    [
      ("structure", `String (Structures.name structure)); ("size", `Int size); ("count", `String (Z.to_string count));
    ]

let error words : Yojson.Safe.t = `Assoc [ ("error", `String words) ]
