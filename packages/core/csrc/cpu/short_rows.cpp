#include "cpu/short_rows.h"

#include <algorithm>

#include "cpu/assign.h"
#include "cpu/levels.h"

namespace atled::core {

namespace {

namespace short_rows {

#define ATLED_LEVEL_BODY "cpu/short_rows.inl"
#include "cpu/each_level.inl"

}  // namespace short_rows

}  // namespace

void copy_rows(char* to, int64_t to_step, const char* from, int64_t stride, int64_t step, int64_t n, int64_t rows,
               int item) {
  visit_size(item, [&](auto tag) {
    using T = typename decltype(tag)::type;
    ATLED_PICK_OF(short_rows, copy<T>)(to, to_step, from, stride, step, n, rows);
  });
}

}  // namespace atled::core
