type t = {
  http : int;
  websocket : int;
  address : Unix.inet_addr;
  websocket_url : string option;
  log : string option;
  max_size : int;
}

exception Invalid of string

let invalid format = Printf.ksprintf (fun words -> raise (Invalid words)) format

let number first last = function
  | `Int n when first <= n && n <= last -> n
  | _ -> invalid "must be a number from %d to %d" first last

let port = number 1 65535
let text = function `String s when s <> "" -> s | _ -> invalid "must be a text"

let address value =
  match Unix.inet_addr_of_string (text value) with
  | address -> address
  | exception Failure _ -> invalid "must be an IP address"

(* [fields] with [key] set from [value]. *)
let set config (key, value) =
  try
    match key with
    | "http" -> { config with http = port value }
    | "websocket" -> { config with websocket = port value }
    | "address" -> { config with address = address value }
    | "websocket_url" -> { config with websocket_url = Some (text value) }
    | "log" -> { config with log = Some (text value) }
    | "max_size" -> { config with max_size = number 0 10_000 value }
    | _ -> invalid "is not a key"
  with Invalid words -> invalid "%s %s" key words

let check config =
  if config.http = 0 then invalid "http is missing";
  if config.websocket = 0 then invalid "websocket is missing";
  if config.http = config.websocket then invalid "http and websocket are the same port";
  config

let unset =
  { http = 0; websocket = 0; address = Unix.inet_addr_any; websocket_url = None; log = None; max_size = 1000 }

let beside file path = if Filename.is_relative path then Filename.concat (Filename.dirname file) path else path

let read file =
  match Yojson.Safe.from_file file with
  | `Assoc fields -> (
      try
        let config = check (List.fold_left set unset fields) in
        { config with log = Option.map (beside file) config.log }
      with Invalid words -> invalid "%s: %s" file words)
  | _ -> invalid "%s: must be an object" file
  | exception Sys_error words -> invalid "%s" words
  | exception Yojson.Json_error words -> invalid "%s: %s" file words
