(** The answers over HTTP: the page, [/structures], [/count/NAME/SIZE]. *)

val callback : Config.t -> 'connection -> Cohttp.Request.t -> 'body -> (Cohttp.Response.t * Cohttp_lwt.Body.t) Lwt.t
