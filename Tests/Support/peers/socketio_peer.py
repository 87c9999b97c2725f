"""The same work with python-socketio, uvicorn and SQLite: stores a message durably, acknowledges
it, and sends it to both users."""

import sqlite3
import sys
import time

import socketio
import uvicorn

database = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
database.executescript("""
PRAGMA journal_mode = wal; PRAGMA synchronous = full;
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation TEXT, seq INTEGER, sender INTEGER, content TEXT, created_at TEXT, UNIQUE (conversation, seq));
""")
server = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
users = {}


@server.event
async def connect(sid, environ, auth):
    users[sid] = int(auth["sessionID"])
    await server.enter_room(sid, str(users[sid]))


@server.event
async def disconnect(sid, reason=None):
    users.pop(sid, None)


@server.event
async def send_message(sid, data):
    sender, recipient = users[sid], data["recipient_id"]
    conversation = f"{min(sender, recipient)}-{max(sender, recipient)}"
    database.execute("BEGIN")
    last = database.execute("SELECT max(seq) FROM messages WHERE conversation = ?", (conversation,)).fetchone()[0] or 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    row = database.execute("INSERT INTO messages (conversation, seq, sender, content, created_at) VALUES (?, ?, ?, ?, ?)",
                           (conversation, last + 1, sender, data["content"], stamp))
    database.execute("COMMIT")
    message = {"message_id": row.lastrowid, "seq": last + 1, "sender_id": sender, "recipient_id": recipient,
               "content": data["content"], "timestamp": stamp, "is_group": False, "type": "text"}
    await server.emit("new_message", message, room=str(sender))
    await server.emit("new_message", message, room=str(recipient))
    return {"status": "ok", "message_id": row.lastrowid, "seq": last + 1, "timestamp": stamp}

uvicorn.run(socketio.ASGIApp(server), host="127.0.0.1", port=int(sys.argv[2]), log_level="error", loop="uvloop")
