// libraries FILE FOLDERS: prints what which() of the library that is found answers, or the error.
#include "cuda/libraries.h"

#include <cstdio>

using namespace atled::core::cuda;

int main(int, char** arguments) {
  try {
    set_library_folders(arguments[2]);
    const Library library(arguments[1]);
    int (*which)() = nullptr;
    library.find("which", &which);
    std::printf("%d\n", which());
  } catch (const atled::Error& error) {
    std::printf("%d %s\n", error.kind(), error.what());
  }
}
