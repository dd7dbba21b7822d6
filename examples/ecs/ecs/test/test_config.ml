(* Configuration files, good and bad. *)

let failures = ref 0

let check subject expected got =
  if expected = got then Printf.printf "ok       config: %s\n" subject
  else begin
    incr failures;
    Printf.printf "FAILED   config: %s\n  expected %s\n  got      %s\n" subject expected got
  end

let with_file text f =
  let file = Filename.temp_file "config" ".json" in
  let out = open_out file in
  output_string out text;
  close_out out;
  Fun.protect ~finally:(fun () -> Sys.remove file) (fun () -> f file)

(* What is wrong with the file, without its name. *)
let fault text =
  with_file text (fun file ->
      match Config.read file with
      | _ -> "nothing"
      | exception Config.Invalid words ->
          let n = String.length file + 2 in
          String.sub words n (String.length words - n))

let () =
  with_file {|{ "http": 9080, "websocket": 9081, "log": "ecs.log" }|} (fun file ->
      let config = Config.read file in
      check "ports" "9080 9081" (Printf.sprintf "%d %d" config.http config.websocket);
      check "every address" "0.0.0.0" (Unix.string_of_inet_addr config.address);
      check "the log is beside the file" (Filename.concat (Filename.dirname file) "ecs.log") (Option.get config.log));
  check "an unknown key" "htpp is not a key" (fault {|{ "htpp": 9080 }|});
  check "a port that is missing" "websocket is missing" (fault {|{ "http": 9080 }|});
  check "a port twice" "http and websocket are the same port" (fault {|{ "http": 80, "websocket": 80 }|});
  check "a port out of range" "http must be a number from 1 to 65535" (fault {|{ "http": 65536 }|});
  check "an address" "address must be an IP address" (fault {|{ "address": "here" }|});
  check "a list" "must be an object" (fault "[]");
  (match Config.read "/nowhere/config.json" with
  | _ -> check "a file that is missing" "refused" "read"
  | exception Config.Invalid words -> check "a file that is missing" "/nowhere/config.json: No such file or directory" words);
  if !failures > 0 then exit 1
