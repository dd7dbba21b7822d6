(* The parts of the WebSocket that need no connection; tests/ecs/ask.py has the rest. *)

let failures = ref 0

let check subject ok =
  Printf.printf "%s websocket: %s\n" (if ok then "ok      " else "FAILED  ") subject;
  if not ok then incr failures

let () =
  check "the key of RFC 6455, section 1.3"
    (Websocket.key_answer "dGhlIHNhbXBsZSBub25jZQ==" = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  List.iter
    (fun s -> check (Printf.sprintf "UTF-8: %S" s) (Websocket.valid_utf_8 s))
    [ ""; "trees"; "Schr\xc3\xb6der"; "\xe2\x82\xac"; "\xed\x9f\xbf"; "\xee\x80\x80"; "\xf0\x90\x80\x80"; "\xf4\x8f\xbf\xbf" ];
  List.iter
    (fun s -> check (Printf.sprintf "not UTF-8: %S" s) (not (Websocket.valid_utf_8 s)))
    [
      "\x80"; "\xc0\x80"; "\xc1\xbf"; "\xc3"; "\xc3("; "\xe0\x80\x80"; "\xe2\x82"; "\xed\xa0\x80"; "\xf0\x80\x80\x80";
      "\xf4\x90\x80\x80"; "\xf5\x80\x80\x80"; "\xf8\x88\x80\x80\x80"; "\xff"; "ok\xf0\x9f\x98";
    ];
  if !failures > 0 then exit 1
