// The C interface of llama.cpp, as installed by scripts/setup.sh. The linker flags stand in Package.swift.
#include <llama.h>
#include <ggml-backend.h>
#include <gguf.h>
