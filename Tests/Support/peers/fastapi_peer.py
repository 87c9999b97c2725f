"""FastAPI over SQLite with full durability, in its fastest configuration: handlers that call SQLite
on the event loop, uvloop, no access log."""

import sqlite3
import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

database = sqlite3.connect(sys.argv[1], isolation_level=None, check_same_thread=False)
database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                       "CREATE TABLE user_sessions (session_id TEXT PRIMARY KEY, user_id TEXT, created_at TEXT)")
app = FastAPI()


@app.post("/add-session")
async def add_session(request: Request):
    body = await request.json()
    database.execute("INSERT INTO user_sessions VALUES (?, ?, ?)", (body["session_id"], "u", "2026"))
    return JSONResponse({"success": True, "message": "session added"})


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), loop="uvloop", http="httptools", access_log=False, log_level="error")
