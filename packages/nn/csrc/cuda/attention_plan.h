// How attention is laid out over blocks, and where in shared memory tiles lie: plain functions, for the host too.
//
// A block has some neighbouring queries (or keys) of one head, and goes over the keys (or queries) of that head by
// tiles.
#pragma once

#include <cstdint>

#include "functors/inline.h"

namespace atled::nn {

// A warp has 16 rows of what its block keeps, as many as one product of tensor cores.
constexpr int kWarpRows = 16;
constexpr int kMostHead = 128;      // features of a head
constexpr int kPiece = 8;           // elements of 16 bytes, which are copied at once
constexpr int kQueryThreads = 256;  // of a block that keeps queries
constexpr int kKeyThreads = 128;    // of one that keeps keys
constexpr int kForwardTile = 64;    // keys at once
constexpr int kBackwardTile = 32;   // keys, or queries, at once
constexpr int kQueries = kQueryThreads / 32 * kWarpRows, kKeys = kKeyThreads / 32 * kWarpRows;  // that a block keeps
constexpr int64_t kMostRows = INT64_C(1) << 30;
// Blocks that keep a GPU busy, and the fewest keys that a block is worth beginning for, where more than one share them.
constexpr int64_t kEnoughBlocks = 256, kFewestKeys = 4 * kForwardTile;

// Element (batch, head, row, column) of a tensor is so many elements from the first; columns are neighbours.
struct HeadRows {
  int64_t batch, head, row;
  ATLED_INLINE int64_t offset(int64_t b, int64_t h, int64_t r) const { return b * batch + h * head + r * row; }
};

struct AttentionPlan {
  int64_t batches;
  int heads, shared;  // of query; of query for each of key
  int length, keys;   // queries and keys of a head
  int size;           // features of a head, a multiple of kPiece
  bool causal;        // query i sees keys 0 to i
  float scale;
  int parts = 1;        // blocks that share the keys of one block's queries in the forward
  int part_length = 0;  // keys of each, a multiple of kForwardTile

  // By shape alone, so that results are the same on every GPU.
  void share_keys() {
    part_length = tiles(keys, kForwardTile) * kForwardTile;
    if (length > kQueries) return;
    const int64_t wanted = kEnoughBlocks / query_blocks(), most = keys / kFewestKeys;
    const int64_t shares = wanted < most ? wanted : most;
    if (shares <= 1) return;
    part_length = tiles(tiles(keys, kForwardTile), static_cast<int>(shares)) * kForwardTile;
    parts = tiles(keys, part_length);
  }

  int64_t query_blocks() const { return batches * heads * tiles(length, kQueries); }
  int64_t key_blocks() const { return batches * (heads / shared) * tiles(keys, kKeys); }

  struct Place {
    int64_t batch;
    int head;   // of what the block keeps
    int first;  // row
  };
  // Causal queries see the more keys the later they come: blocks with much to do begin first.
  ATLED_INLINE Place query_place(uint32_t block) const {
    const Place p = place(block, tiles(length, kQueries), heads, kQueries);
    return causal ? Place{p.batch, p.head, (tiles(length, kQueries) - 1) * kQueries - p.first} : p;
  }
  ATLED_INLINE Place key_place(uint32_t block) const { return place(block, tiles(keys, kKeys), heads / shared, kKeys); }

  // The keys [0, end) that some of `count` queries from `first` on see.
  ATLED_INLINE int keys_seen(int first, int count) const {
    return causal && first + count < keys ? first + count : keys;
  }
  // The first query that sees a key.
  ATLED_INLINE int first_query(int key) const { return causal ? key : 0; }
  // The last key that a query sees.
  ATLED_INLINE int last_key(int query) const { return causal && query < keys ? query : keys - 1; }

  ATLED_INLINE static int tiles(int n, int size) { return (n + size - 1) / size; }

 private:
  ATLED_INLINE static Place place(uint32_t block, int tiles, int heads, int size) {
    const uint32_t rest = block / static_cast<uint32_t>(tiles);
    return {static_cast<int64_t>(rest / static_cast<uint32_t>(heads)),
            static_cast<int>(rest % static_cast<uint32_t>(heads)),
            static_cast<int>(block % static_cast<uint32_t>(tiles)) * size};
  }
};

// Where a tile of `width` elements a row has the piece that begins with element `piece * kPiece` of a row. The pieces
// of each row are in an order of their own, so that eight rows' pieces lie in different banks.
ATLED_INLINE int tile_offset(int row, int piece, int width) { return row * width + (piece ^ (row & 7)) * kPiece; }

}  // namespace atled::nn
