"""Blocks of the key/value cache: who holds how many, and what prefixes they keep.

Blocks are counted, not listed. Those that hold a named piece of a prompt belong to that piece's
``Segment`` and outlive the request; once no request uses them they stay cached until their room is
needed, least recently used first, the end of a prompt before its beginning.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from llmsizer.simulation.requests import Request


class Segment:
    """Cached blocks of one piece of a prompt, from the piece's start; ``users`` requests read them."""

    __slots__ = ("blocks", "filled_by", "key", "users")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.blocks = self.users = 0
        self.filled_by: Request | None = None


class BlockPool:
    """The blocks of one replica."""

    def __init__(self, blocks: int, block_size: int, prefix_caching: bool = False) -> None:
        self.capacity, self.block_size, self.caching = blocks, block_size, prefix_caching
        self.free = blocks
        self.evictable = 0
        self._segments: dict[Hashable, Segment] = {}
        self._unused: OrderedDict[int, Segment] = OrderedDict()

    @property
    def available(self) -> int:
        """Blocks that can be had now: free ones and those kept only in case."""
        return self.free + self.evictable

    @property
    def used(self) -> int:
        """Blocks that requests hold."""
        return self.capacity - self.free - self.evictable

    def take(self, blocks: int) -> None:
        """Takes blocks for a request, evicting cached ones that nobody uses."""
        while self.free < blocks:
            self._evict(blocks - self.free)
        self.free -= blocks

    def _evict(self, wanted: int) -> None:
        oldest, segment = next(iter(self._unused.items()))
        count = min(wanted, segment.blocks)
        segment.blocks -= count
        self.free += count
        self.evictable -= count
        if not segment.blocks:
            del self._unused[oldest]
            self._segments.pop(segment.key, None)

    def cached_blocks(self, request: Request) -> int:
        """Whole blocks of a prompt that are cached; its last token is always computed."""
        return self._match(request)[0]

    def _match(self, request: Request) -> tuple[int, list[Segment]]:
        most = (request.target - 1) // self.block_size
        hit, start, found = 0, 0, []
        for key, end in request.pieces if self.caching else ():
            stop = end // self.block_size
            segment = self._segments.get(key)
            if segment is not None:
                found.append(segment)
                hit += min(segment.blocks, stop - start)
            if hit < stop or hit >= most:
                break
            start = stop
        return min(hit, most), found

    def needed_and_room(self, request: Request, blocks: int) -> tuple[int, int]:
        """New blocks for a prompt that is to hold ``blocks`` in all, and the room there is for them."""
        hit, found = self._match(request)
        idle = sum(segment.blocks for segment in found if not segment.users)
        return max(blocks - hit, 0), self.available - idle

    def attach(self, request: Request) -> int:
        """Lets a request use what is cached of its prompt; returns the whole blocks it finds.

        The request becomes the one that fills the pieces nobody fills yet.
        """
        hit, found = self._match(request)
        for segment in found:
            self._use(segment, request)
        request.shared_blocks = hit
        if self.caching and hit < (request.target - 1) // self.block_size:
            self._own(request, hit)
        return hit

    def _use(self, segment: Segment, request: Request) -> None:
        if not segment.users:
            self._unused.pop(id(segment), None)
            self.evictable -= segment.blocks
        segment.users += 1
        request.held.append(segment)

    def _own(self, request: Request, hit: int) -> None:
        start = 0
        for key, end in request.pieces:
            stop = end // self.block_size
            if stop > hit:
                segment = self._segments.get(key)
                if segment is None:
                    segment = self._segments[key] = Segment(key)
                elif segment.filled_by is not None or segment.blocks > max(hit - start, 0):
                    return
                if segment not in request.held:
                    self._use(segment, request)
                segment.filled_by = request
                request.owned.append((segment, stop - start))
            start = stop

    def grow(self, request: Request, blocks: int) -> None:
        """New blocks for the next tokens of a prompt; those of named pieces are cached at once."""
        self.take(blocks)
        while blocks and request.owned:
            segment, size = request.owned[0]
            count = min(blocks, size - segment.blocks)
            segment.blocks += count
            request.shared_blocks += count
            blocks -= count
            if segment.blocks >= size:
                segment.filled_by = None
                request.owned.pop(0)

    def release(self, request: Request, blocks: int, whole_tokens: int | None = None) -> None:
        """Gives back all ``blocks`` of a request. ``whole_tokens``: it ended with that many tokens in
        the cache, which stay cached under its own key."""
        private = blocks - request.shared_blocks
        own = 0
        if self.caching and whole_tokens is not None and request.own_key is not None and request.own_key not in self._segments:
            start = request.pieces[-1][1] // self.block_size if request.pieces else 0
            own = max(min(private, whole_tokens // self.block_size - start), 0)
        if self.caching:
            self._keep(None, private - own)
            if own:
                self._keep(request.own_key, own)
        else:
            self.free += private
        for segment in reversed(request.held):
            self._unuse(segment, request)
        request.held.clear()
        request.owned.clear()
        request.shared_blocks = 0

    def _keep(self, key: Hashable, blocks: int) -> None:
        """Blocks that nobody uses but that stay until their room is needed (``key`` None: never reused)."""
        if blocks <= 0:
            return
        segment = Segment(key)
        segment.blocks = blocks
        if key is not None:
            self._segments[key] = segment
        self._unused[id(segment)] = segment
        self.evictable += blocks

    def _unuse(self, segment: Segment, request: Request) -> None:
        segment.users -= 1
        if segment.filled_by is request:
            segment.filled_by = None
        if segment.users:
            return
        if segment.blocks:
            self._unused[id(segment)] = segment
            self.evictable += segment.blocks
        else:
            self._segments.pop(segment.key, None)
