"""Few places, and none of them held by the dead."""

from __future__ import annotations

import asyncio

from collector.lane import Lane


def test_no_more_than_the_places_work_at_once() -> None:
    async def run() -> int:
        lane, inside, most = Lane(3, patience=60), 0, 0

        async def work() -> None:
            nonlocal inside, most
            async with lane.place():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(50)))
        return most

    assert asyncio.run(run()) == 3


def test_those_who_wait_too_long_give_their_place_away_once() -> None:
    async def run() -> tuple[int, int]:
        lane, hanging, passed = Lane(2, patience=0.02), asyncio.Event(), 0

        async def hang() -> None:
            async with lane.place():
                await hanging.wait()

        async def work() -> None:
            nonlocal passed
            async with lane.place():
                passed += 1

        dead = [asyncio.create_task(hang()) for _ in range(6)]
        await asyncio.wait_for(asyncio.gather(*(work() for _ in range(20))), 5)
        hanging.set()
        await asyncio.gather(*dead)
        inside, most = 0, 0

        async def count() -> None:
            nonlocal inside, most
            async with lane.place():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(count() for _ in range(20)))
        return passed, most

    assert asyncio.run(run()) == (20, 2)


def test_a_place_is_given_back_after_an_error_and_after_a_cancellation() -> None:
    async def run() -> None:
        lane = Lane(1, patience=60)

        async def fail() -> None:
            async with lane.place():
                raise ValueError

        async def hang() -> None:
            async with lane.place():
                await asyncio.Event().wait()

        await asyncio.gather(fail(), return_exceptions=True)
        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(1), lane.place():
            pass

    asyncio.run(run())
