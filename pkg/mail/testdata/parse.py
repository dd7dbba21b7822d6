# Parses a message on stdin with Python's email package and prints the result as JSON.
import email, email.policy, json, sys

m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)
parts = [p for p in m.walk() if not p.is_multipart()]
print(json.dumps({
    "fields": sorted(k.lower() for k in m.keys()),
    "defects": [str(d) for p in m.walk() for d in p.defects] + [str(d) for v in m.values() for d in v.defects],
    "subject": str(m["subject"]),
    "id": str(m["message-id"]),
    "date": m["date"].datetime.isoformat(),
    "to": [[a.display_name, a.addr_spec] for a in m["to"].addresses],
    "from": [[a.display_name, a.addr_spec] for a in m["from"].addresses],
    "parts": [[p.get_content_type(), p.get_content().replace("\r\n", "\n")] for p in parts],
}))
