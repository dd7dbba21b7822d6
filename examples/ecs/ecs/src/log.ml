let channel = ref stderr
let to_file path = channel := open_out_gen [ Open_append; Open_creat; Open_wronly ] 0o644 path

(* Replace control characters, so that an entry stays one line whatever a peer sent. *)
let printable = String.map (fun c -> if c < ' ' || c = '\127' then '?' else c)

let line format =
  Printf.ksprintf
    (fun words ->
      let t = Unix.gmtime (Unix.time ()) in
      Printf.fprintf !channel "%04d-%02d-%02dT%02d:%02d:%02dZ %s\n%!" (t.tm_year + 1900) (t.tm_mon + 1) t.tm_mday
        t.tm_hour t.tm_min t.tm_sec (printable words))
    format
