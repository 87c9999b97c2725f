"""`aio_pika.patterns`: calls of remote procedures, and workers of a master."""

import asyncio
import uuid

import aio_pika
import pytest
from aio_pika.patterns import RPC, Master, NackMessage, RejectMessage


def test_rpc(broker):
    async def flow():
        server = await aio_pika.connect_robust(broker)
        client = await aio_pika.connect_robust(broker)
        async with server, client:
            serving = await RPC.create(await server.channel())
            calling = await RPC.create(await client.channel())

            async def multiply(*, x, y):
                return x * y

            async def fail():
                raise ValueError("on purpose")

            await serving.register("multiply", multiply, auto_delete=True)
            await serving.register("fail", fail, auto_delete=True)
            answers = await asyncio.gather(*(calling.proxy.multiply(x=n, y=3) for n in range(100)))
            assert answers == [3 * n for n in range(100)]
            with pytest.raises(ValueError, match="on purpose"):
                await calling.proxy.fail()
            # A call that no server answers comes back as a dead letter when it expires.
            name = f"nobody-serves-{uuid.uuid4()}"
            queue = await (await server.channel()).declare_queue(
                name, arguments={"x-dead-letter-exchange": RPC.DLX_NAME})
            with pytest.raises(asyncio.TimeoutError):
                await calling.call(name, expiration=0.2)
            await queue.delete()
            with pytest.raises(aio_pika.exceptions.MessageProcessError):
                await calling.call("not-there")

    asyncio.run(asyncio.wait_for(flow(), 30))


def test_master(broker):
    async def flow():
        connection = await aio_pika.connect_robust(broker)
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=5)
            master, heard, done = Master(channel), [], asyncio.Event()

            async def work(*, number):
                heard.append(number)
                if number == 3 and heard.count(3) == 1:
                    raise NackMessage(requeue=True)
                if number == 4:
                    raise RejectMessage(requeue=False)
                if len(set(heard)) == 20 and heard.count(3) == 2:
                    done.set()

            worker = await master.create_worker("work", work, auto_delete=True)
            for number in range(20):
                await master.proxy.work(number=number)
            await asyncio.wait_for(done.wait(), 10)
            assert sorted(heard) == sorted([*range(20), 3])
            await worker.close()

    asyncio.run(asyncio.wait_for(flow(), 30))
