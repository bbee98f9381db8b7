#include "memory_blocks.h"

#include <cassert>

namespace atled::cuda {
namespace {

#ifdef __GNUC__
int highest_bit(uint64_t x) { return 63 - __builtin_clzll(x); }
int lowest_bit(uint64_t x) { return __builtin_ctzll(x); }
#else
int highest_bit(uint64_t x) {
  int bit = 0;
  while (x >>= 1) ++bit;
  return bit;
}
int lowest_bit(uint64_t x) { return highest_bit(x & (~x + 1)); }
#endif

bool smaller(const Block* a, const Block* b) { return a->bytes != b->bytes ? a->bytes < b->bytes : a->ptr < b->ptr; }

}  // namespace

Block* BlockSlabs::make(Segment* segment, char* ptr, size_t bytes) {
  if (!spare_) {
    slabs_.push_back(std::make_unique<Block[]>(kSlab));
    for (size_t i = 0; i < kSlab; ++i) {
      Block& block = slabs_.back()[i];
      random_ ^= random_ << 13, random_ ^= random_ >> 17, random_ ^= random_ << 5;  // xorshift32 (Marsaglia 2003)
      block.priority = random_;
      block.after = spare_;
      spare_ = &block;
    }
  }
  Block* block = spare_;
  spare_ = block->after;
  block->ptr = ptr;
  block->bytes = bytes;
  block->requested = 0;
  block->before = block->after = nullptr;
  block->segment = segment;
  block->site = Site();
  block->state = BlockState::kHeld;
  return block;
}

void BlockSlabs::drop(Block* block) {
  block->uses.reset();
  block->after = spare_;
  spare_ = block;
}

int FreeBlocks::bin(size_t bytes) {
  const uint64_t units = bytes / kBlockUnit;
  if (units < 16) return static_cast<int>(units);
  const int log = highest_bit(units);  // 4 and more
  const int index = (log - 3) * 16 + static_cast<int>(units >> (log - 4) & 15);
  return index < kBins ? index : kBins - 1;
}

void FreeBlocks::insert(Block* block) {
  const int index = bin(block->bytes);
  used_[index / 64] |= uint64_t{1} << (index % 64);
  Block** at = &roots_[index];
  while (*at && (*at)->priority >= block->priority) at = smaller(*at, block) ? &(*at)->right : &(*at)->left;
  // What is below falls apart into what is smaller and what is larger than the block.
  Block* tree = *at;
  *at = block;
  Block **less = &block->left, **more = &block->right;
  while (tree) {
    if (smaller(tree, block)) {
      *less = tree;
      less = &tree->right;
      tree = tree->right;
    } else {
      *more = tree;
      more = &tree->left;
      tree = tree->left;
    }
  }
  *less = *more = nullptr;
}

void FreeBlocks::erase(Block* block) {
  const int index = bin(block->bytes);
  Block** at = &roots_[index];
  while (*at != block) {
    assert(*at);
    at = smaller(*at, block) ? &(*at)->right : &(*at)->left;
  }
  Block *less = block->left, *more = block->right;
  while (less && more) {
    if (less->priority >= more->priority) {
      *at = less;
      at = &less->right;
      less = less->right;
    } else {
      *at = more;
      at = &more->left;
      more = more->left;
    }
  }
  *at = less ? less : more;
  if (!roots_[index]) used_[index / 64] &= ~(uint64_t{1} << (index % 64));
}

void FreeBlocks::change(Block* block, char* ptr, size_t bytes) {
  // The usual case: the long range that small blocks are cut from and come back to.
  const bool stays =
      !block->left && !block->right && roots_[bin(block->bytes)] == block && bin(block->bytes) == bin(bytes);
  if (!stays) erase(block);
  block->ptr = ptr;
  block->bytes = bytes;
  if (!stays) insert(block);
}

Block* FreeBlocks::find(size_t bytes) const {
  const int index = bin(bytes);
  Block* found = nullptr;
  for (Block* node = roots_[index]; node;) {
    const bool fits = node->bytes >= bytes;
    if (fits) found = node;
    node = fits ? node->left : node->right;
  }
  if (found || index + 1 == kBins) return found;
  uint64_t above = ~uint64_t{0} << ((index + 1) % 64);
  for (int word = (index + 1) / 64; word < kBins / 64; ++word, above = ~uint64_t{0})
    for (uint64_t bits = used_[word] & above; bits; bits &= bits - 1) {
      Block* first = roots_[word * 64 + lowest_bit(bits)];
      while (first->left) first = first->left;
      if (!found || first->ptr < found->ptr) found = first;
    }
  return found;
}

Block* FreeBlocks::largest() const {
  for (size_t word = kBins / 64; word-- > 0;)
    if (used_[word]) {
      Block* found = roots_[word * 64 + static_cast<size_t>(highest_bit(used_[word]))];
      while (found->right) found = found->right;
      return found;
    }
  return nullptr;
}

}  // namespace atled::cuda
