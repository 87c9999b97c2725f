"""A Socket.IO server of a group that shares its rooms over the broker. Prints its port."""

import os

import socketio
from aiohttp import web

server = socketio.AsyncServer(async_mode="aiohttp", client_manager=socketio.AsyncAioPikaManager(os.environ["BROKER"]))


@server.event
async def join(sid, room):
    await server.enter_room(sid, room)
    return "joined"


@server.event
async def say(sid, room, text):
    await server.emit("said", text, room=room)


async def listen():
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    while True:
        await server.sleep(3600)


if __name__ == "__main__":
    import asyncio

    asyncio.run(listen())
