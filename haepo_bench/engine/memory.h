// Scratch memory of one call, given back when the call ends; no memory outlives a call.
#pragma once
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

namespace engine {

// Takes pieces from the system, each starting at a cache line and filled with zeros; `failed` where there was none left.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch &) = delete;
  ~Scratch() {
    while (first_) {
      Header *next = first_->next;
      free(first_);
      first_ = next;
    }
  }

  float *floats(size_t count) { return (float *)bytes(count * sizeof(float)); }
  double *doubles(size_t count) { return (double *)bytes(count * sizeof(double)); }
  int32_t *ints(size_t count) { return (int32_t *)bytes(count * sizeof(int32_t)); }

  void *bytes(size_t count) {
    size_t whole = (count + sizeof(Header) + 127) / 64 * 64;
    Header *piece = (Header *)aligned_alloc(64, whole);
    if (!piece) {
      failed = true;
      return nullptr;
    }
    memset(piece, 0, whole);
    piece->next = first_;
    first_ = piece;
    return (char *)piece + sizeof(Header);
  }

  bool failed = false;

 private:
  struct alignas(64) Header {
    Header *next;
  };
  Header *first_ = nullptr;
};

}  // namespace engine
