/* The group "profile", version 1: how a wheel takes part in what atled.core.profiler records. Since 0.2. */
#ifndef ATLED_PROFILE_H
#define ATLED_PROFILE_H

#include "abi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  /* Calls changed(ctx, 1) when a profiler begins to record calls and changed(ctx, 0) when it ends; at once when one is
   * at it. */
  int (*watch)(void (*changed)(void* ctx, int32_t on), void* ctx);
  /* What this thread does until `end` lies in a range that is the gradient of the call with that number. *range is 0
   * while nothing is recorded. */
  int (*begin_gradient)(const char* name, uint64_t number, uint64_t* range);
  int (*end)(uint64_t range);
  /* Gives the innermost call that is being recorded on this thread its number. */
  int (*number)(uint64_t number);
} atled_profile_group;

#ifdef __cplusplus
}
#endif
#endif /* ATLED_PROFILE_H */
