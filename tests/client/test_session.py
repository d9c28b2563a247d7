"""A session without a server: what is told where nobody asks."""

from __future__ import annotations

import gc

import pytest

from ensemblegen.client.session import Session


@pytest.mark.parametrize(("error", "told"), [(KeyboardInterrupt, False), (ValueError, True)])
def test_ctrl_c_inside_a_task_of_the_library_is_not_told(
    error: type[BaseException], told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Asyncio says of a task that nobody waits for what it ended with, once it is collected."""

    async def writes() -> None:
        raise error

    with Session("127.0.0.1:1") as session:
        loop = session._loop

        async def asks() -> None:
            loop.create_task(writes())
            for _ in range(3):
                await session._loop.create_task(_nothing())

        if told:
            loop.run_until_complete(asks())
        else:
            with pytest.raises(error):
                loop.run_until_complete(asks())
        gc.collect()
    gc.collect()
    assert ("never retrieved" in caplog.text) == told


async def _nothing() -> None:
    pass
