open Lwt.Syntax

type t = { input : Lwt_io.input_channel; output : Lwt_io.output_channel }

exception Refused of string
exception Closed

(* The peer broke the protocol; the status code to answer (RFC 6455, section 7.4.1). *)
exception Fault of int * string

let longest_request = 8 * 1024
let longest_message = 64 * 1024

(* The handshake. *)

let key_answer key =
  Base64.encode_string (Sha1.to_bin (Sha1.string (key ^ "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))

(* The lines of the request up to the empty one, without their ends. *)
let read_request input =
  let request = Buffer.create 512 in
  let rec read () =
    if Buffer.length request >= longest_request then Lwt.fail (Refused "a request of more than 8 KiB")
    else
      let* c = Lwt_io.read_char input in
      Buffer.add_char request c;
      let n = Buffer.length request in
      if c = '\n' && n >= 4 && Buffer.sub request (n - 4) 4 = "\r\n\r\n" then
        Lwt.return (List.map String.trim (String.split_on_char '\n' (Buffer.contents request)))
      else read ()
  in
  read ()

(* The value of the header of that name, in lower case; several such headers make one list. *)
let header name lines =
  let prefix = name ^ ":" in
  let value line =
    let n = String.length prefix in
    if String.length line > n && String.lowercase_ascii (String.sub line 0 n) = prefix then
      Some (String.trim (String.sub line n (String.length line - n)))
    else None
  in
  String.concat "," (List.filter_map value lines)

let has word list = List.exists (fun w -> String.lowercase_ascii (String.trim w) = word) (String.split_on_char ',' list)

let is_key key = match Base64.decode key with Ok bytes -> String.length bytes = 16 | Error _ -> false

let answer output status headers =
  let lines = (Printf.sprintf "HTTP/1.1 %s" status :: headers) @ [ ""; "" ] in
  let* () = Lwt_io.write output (String.concat "\r\n" lines) in
  Lwt_io.flush output

let refuse output ?(headers = []) status why =
  let* () = answer output status (headers @ [ "Connection: close"; "Content-Length: 0" ]) in
  Lwt.fail (Refused why)

let accept input output =
  let* lines =
    Lwt.catch
      (fun () -> read_request input)
      (function
        | Refused why -> refuse output "431 Request Header Fields Too Large" why
        | e -> Lwt.fail e)
  in
  let request = List.hd lines and key = header "sec-websocket-key" lines in
  match String.split_on_char ' ' request with
  | [ "GET"; _; "HTTP/1.1" ]
    when not (has "websocket" (header "upgrade" lines) && has "upgrade" (header "connection" lines)) ->
      refuse output "426 Upgrade Required" "not a WebSocket" ~headers:[ "Upgrade: websocket" ]
  | [ "GET"; _; "HTTP/1.1" ] when header "sec-websocket-version" lines <> "13" ->
      refuse output "426 Upgrade Required" "another version of WebSocket"
        ~headers:[ "Upgrade: websocket"; "Sec-WebSocket-Version: 13" ]
  | [ "GET"; _; "HTTP/1.1" ] when is_key key ->
      let* () =
        answer output "101 Switching Protocols"
          [ "Upgrade: websocket"; "Connection: Upgrade"; "Sec-WebSocket-Accept: " ^ key_answer key ]
      in
      Lwt.return { input; output }
  | _ -> refuse output "400 Bad Request" "not a handshake"

(* Frames. *)

type opcode = Continuation | Text | Close | Ping | Pong
type frame = { final : bool; opcode : opcode; payload : string }

let code = function Continuation -> 0 | Text -> 1 | Close -> 8 | Ping -> 9 | Pong -> 10

let opcode = function
  | 0 -> Continuation
  | 1 -> Text
  | 2 -> raise (Fault (1003, "only text is understood"))
  | 8 -> Close
  | 9 -> Ping
  | 10 -> Pong
  | n -> raise (Fault (1002, Printf.sprintf "an unknown opcode, %d" n))

let is_control = function Close | Ping | Pong -> true | Continuation | Text -> false
let fault status why = Lwt.fail (Fault (status, why))

let read_length input = function
  | 126 -> Lwt_io.BE.read_int16 input |> Lwt.map (fun n -> n land 0xFFFF)
  | 127 ->
      let+ n = Lwt_io.BE.read_int64 input in
      if Int64.compare n 0L < 0 || Int64.compare n (Int64.of_int max_int) > 0 then max_int else Int64.to_int n
  | n -> Lwt.return n

let read_exactly input n =
  let bytes = Bytes.create n in
  let+ () = Lwt_io.read_into_exactly input bytes 0 n in
  bytes

(* A client's frames are masked (section 5.3): the payload is xored with the mask, which repeats. *)
let unmask mask bytes =
  Bytes.mapi (fun i c -> Char.chr (Char.code c lxor Char.code (Bytes.get mask (i land 3)))) bytes

let byte c = Char.code c

(* [room]: how much longer the message may get. *)
let read_frame input ~room =
  let* first = Lwt.map byte (Lwt_io.read_char input) in
  let* second = Lwt.map byte (Lwt_io.read_char input) in
  let final = first land 0x80 <> 0 and opcode = opcode (first land 0x0F) in
  let* length = read_length input (second land 0x7F) in
  if first land 0x70 <> 0 then fault 1002 "a reserved bit is set"
  else if second land 0x80 = 0 then fault 1002 "a frame without mask"
  else if is_control opcode && ((not final) || length > 125) then fault 1002 "a control frame that is long or in parts"
  else if (not (is_control opcode)) && length > room then fault 1009 "a message of more than 64 KiB"
  else
    let* mask = read_exactly input 4 in
    let+ payload = read_exactly input length in
    { final; opcode; payload = Bytes.unsafe_to_string (unmask mask payload) }

(* The header of a frame to send: one frame for each message, never masked. *)
let head opcode length =
  let head = Buffer.create 10 in
  Buffer.add_uint8 head (0x80 lor code opcode);
  if length < 126 then Buffer.add_uint8 head length
  else if length < 0x10000 then (
    Buffer.add_uint8 head 126;
    Buffer.add_uint16_be head length)
  else (
    Buffer.add_uint8 head 127;
    Buffer.add_int64_be head (Int64.of_int length));
  Buffer.contents head

let write connection opcode payload =
  Lwt_io.atomic
    (fun output ->
      let* () = Lwt_io.write output (head opcode (String.length payload)) in
      let* () = Lwt_io.write output payload in
      Lwt_io.flush output)
    connection.output

let send connection text = write connection Text text
let ping connection = write connection Ping ""

let close connection status reason =
  let payload = Bytes.make 2 '\000' in
  Bytes.set_uint16_be payload 0 status;
  write connection Close (Bytes.to_string payload ^ reason)

(* Messages. *)

let valid_utf_8 s =
  let n = String.length s in
  (* the six bits that a byte adds; not one of the tail: more than any code point has *)
  let tail i = if i < n && byte s.[i] land 0xC0 = 0x80 then byte s.[i] land 0x3F else 0x4000_0000 in
  let rec from i = i >= n || starts i (byte s.[i])
  and starts i b =
    if b < 0x80 then from (i + 1)
    else if b < 0xC2 then false
    else if b < 0xE0 then tail (i + 1) < 0x40 && from (i + 2)
    else if b < 0xF0 then
      let c = ((b land 0x0F) lsl 12) + (tail (i + 1) lsl 6) + tail (i + 2) in
      0x800 <= c && c <= 0xFFFF && not (0xD800 <= c && c <= 0xDFFF) && from (i + 3)
    else
      let c = ((b land 0x0F) lsl 18) + (tail (i + 1) lsl 12) + (tail (i + 2) lsl 6) + tail (i + 3) in
      0x10000 <= c && c <= 0x10FFFF && from (i + 4)
  in
  from 0

(* The status codes that a peer may send (section 7.4). *)
let may_be_sent status =
  (1000 <= status && status <= 1003) || (1007 <= status && status <= 1014) || (3000 <= status && status <= 4999)

(* The peer closes: send its own frame back. *)
let closed_by_peer connection payload =
  let n = String.length payload in
  let status = if n >= 2 then String.get_uint16_be payload 0 else 1000 in
  if n = 1 || not (may_be_sent status) then fault 1002 "a close frame without a good status code"
  else if n > 2 && not (valid_utf_8 (String.sub payload 2 (n - 2))) then fault 1007 "a reason that is not UTF-8"
  else
    let* () = write connection Close payload in
    Lwt.fail Closed

let rec next connection message ~started =
  let* frame = read_frame connection.input ~room:(longest_message - Buffer.length message) in
  match frame.opcode with
  | Ping ->
      let* () = write connection Pong frame.payload in
      next connection message ~started
  | Pong -> next connection message ~started
  | Close -> closed_by_peer connection frame.payload
  | Continuation when not started -> fault 1002 "a continuation of nothing"
  | Text when started -> fault 1002 "a message inside another one"
  | Continuation | Text ->
      Buffer.add_string message frame.payload;
      if not frame.final then next connection message ~started:true
      else if valid_utf_8 (Buffer.contents message) then Lwt.return (Buffer.contents message)
      else fault 1007 "a text that is not UTF-8"

let receive connection =
  Lwt.catch
    (fun () -> next connection (Buffer.create 128) ~started:false)
    (function
      | Fault (status, why) ->
          let* () = close connection status why in
          Lwt.fail Closed
      | End_of_file -> Lwt.fail Closed
      | e -> Lwt.fail e)
