// The schema language: `ns::name(Tensor input, Tensor|Scalar other, *, Scalar alpha=1, dtype? dtype=None) -> Tensor`.
//
// Types: Tensor, Tensor(a!), Tensor[], Tensor(a!)[], Tensor?[], Scalar, Tensor|Scalar, Scalar|str, int, float, bool,
// str, dtype, device, Generator, int[], int[N] (one int stands for N), int[*] (loose positional ints too), float[]; `?`
// behind a type allows None. Results: a type, or (Tensor values, Tensor indices).
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "atled/plugin.hpp"
#include "dispatch/op.h"

namespace atled::core {
namespace {

struct TypeRow {
  const char* name;
  Kind kind;
  uint32_t tag;
};

constexpr TypeRow kTypes[] = {
    {"Tensor|Scalar", Kind::kTensorOrScalar, ATLED_TENSOR},
    {"Tensor[]", Kind::kTensorList, ATLED_TENSORS},
    {"Tensor?[]", Kind::kTensorList, ATLED_TENSORS},
    {"Tensor", Kind::kTensor, ATLED_TENSOR},
    {"Scalar", Kind::kScalar, ATLED_NONE},
    {"Scalar|str", Kind::kScalarOrString, ATLED_NONE},
    {"int", Kind::kInt, ATLED_INT_VALUE},
    {"float", Kind::kFloat, ATLED_FLOAT_VALUE},
    {"bool", Kind::kBool, ATLED_BOOL_VALUE},
    {"str", Kind::kString, ATLED_STRING},
    {"dtype", Kind::kDtype, ATLED_DTYPE},
    {"device", Kind::kDevice, ATLED_DEVICE},
    {"Generator", Kind::kGenerator, ATLED_GENERATOR},
    {"int[]", Kind::kInts, ATLED_INTS},
    {"float[]", Kind::kFloats, ATLED_FLOATS},
};

class Parser {
 public:
  Parser(const char* text, Op& op) : begin_(text), at_(text), op_(op) {}

  void run() {
    op_.schema_text = begin_;
    std::string first = word();
    if (accept("::")) {
      op_.ns_text = first;
      op_.name_text = word();
    } else {
      op_.ns_text = "core";
      op_.name_text = first;
    }
    op_.qualified = op_.ns_text + "::" + op_.name_text;
    expect("(");
    bool keyword = false;
    while (!accept(")")) {
      if (!op_.arg_table.empty() || keyword) {
        if (!first_) expect(",");
      }
      first_ = false;
      if (accept("*")) {
        keyword = true;
        continue;
      }
      argument(keyword);
    }
    expect("->");
    results();
    skip();
    if (*at_) error("the end");
  }

 private:
  [[noreturn]] void error(const char* expected) {
    fail(ATLED_E_VALUE, "schema \"%s\": expected %s at column %d", begin_, expected,
         static_cast<int>(at_ - begin_) + 1);
  }
  void skip() {
    while (*at_ == ' ' || *at_ == '\n') ++at_;
  }
  bool accept(const char* token) {
    skip();
    size_t n = strlen(token);
    if (strncmp(at_, token, n) != 0) return false;
    at_ += n;
    return true;
  }
  void expect(const char* token) {
    if (!accept(token)) error(token);
  }
  std::string word() {
    skip();
    const char* start = at_;
    while (isalnum(static_cast<unsigned char>(*at_)) || *at_ == '_') ++at_;
    if (at_ == start) error("a name");
    return std::string(start, at_);
  }
  const char* keep(std::string text) {
    op_.strings.push_back(std::move(text));
    return op_.strings.back().c_str();
  }

  // A type, without the name that follows.
  std::string type(ArgInfo& info, uint32_t& tag, uint32_t& flags) {
    skip();
    const char* start = at_;
    std::string name = word();
    if (name == "Tensor" && accept("(a!)")) {
      flags |= ATLED_ARG_MUTATED;
    } else if (name == "Tensor" && *at_ == '|') {
      ++at_;
      if (word() != "Scalar") error("Scalar");
      name = "Tensor|Scalar";
      flags |= ATLED_ARG_SCALAR_TOO;
    } else if (name == "Scalar" && *at_ == '|') {
      ++at_;
      if (word() != "str") error("str");
      name = "Scalar|str";
    } else if (name == "Tensor" && strncmp(at_, "?[]", 3) == 0) {
      at_ += 3;
      name = "Tensor?[]";
      info.nullable_items = true;
    }
    if (*at_ == '[') {
      ++at_;
      if (*at_ == '*') {
        ++at_;
        info.variadic = true;
        flags |= ATLED_ARG_VARIADIC;
      } else if (isdigit(static_cast<unsigned char>(*at_))) {
        info.fixed = static_cast<int>(strtol(at_, const_cast<char**>(&at_), 10));
      }
      if (*at_ != ']') error("]");
      ++at_;
      name += "[]";
    }
    if (*at_ == '?') {
      ++at_;
      info.optional = true;
      flags |= ATLED_ARG_OPTIONAL;
    }
    for (const TypeRow& row : kTypes) {
      if (name == row.name) {
        info.kind = row.kind;
        tag = row.tag;
        const char* end = at_;
        while (end[-1] == ' ') --end;
        return std::string(start, end);
      }
    }
    at_ = start;
    error("a type");
  }

  atled_value fallback(const ArgInfo& info) {
    skip();
    if (accept("None")) return none();
    if (accept("True")) return info.kind == Kind::kFloat ? value(1.0) : value(true);
    if (accept("False")) return value(false);
    if (*at_ == '"' || *at_ == '\'') {
      char quote = *at_++;
      const char* start = at_;
      while (*at_ && *at_ != quote) ++at_;
      if (!*at_) error("a closing quote");
      std::string text(start, at_++);
      atled_value v = none();
      v.n = static_cast<uint32_t>(text.size());
      v.u.str = keep(std::move(text));
      v.tag = ATLED_STRING;
      return v;
    }
    if (accept("[")) {
      std::vector<int64_t> items;
      while (!accept("]")) {
        if (!items.empty()) expect(",");
        items.push_back(integer());
      }
      op_.int_lists.push_back(std::move(items));
      return ints_value(op_.int_lists.back().data(), op_.int_lists.back().size());
    }
    char* end = nullptr;
    double number = strtod(at_, &end);
    if (end == at_) error("a default");
    bool whole = true;
    for (const char* c = at_; c < end; ++c)
      whole = whole && (isdigit(static_cast<unsigned char>(*c)) || *c == '-' || *c == '+');
    at_ = end;
    if (info.kind == Kind::kInts) {
      op_.int_lists.emplace_back(static_cast<size_t>(info.fixed ? info.fixed : 1), static_cast<int64_t>(number));
      return ints_value(op_.int_lists.back().data(), op_.int_lists.back().size());
    }
    if (whole && info.kind != Kind::kFloat) return value(static_cast<int64_t>(number));
    return value(number);
  }

  int64_t integer() {
    skip();
    char* end = nullptr;
    long long n = strtoll(at_, &end, 10);
    if (end == at_) error("an integer");
    at_ = end;
    return n;
  }

  void argument(bool keyword) {
    ArgInfo info{};
    atled_arg arg{};
    uint32_t flags = keyword ? ATLED_ARG_KEYWORD : 0;
    arg.type = keep(type(info, arg.tag, flags));
    arg.name = keep(word());
    arg.fallback = none();
    if (accept("=")) {
      arg.fallback = fallback(info);
      flags |= ATLED_ARG_DEFAULT;
    }
    arg.flags = flags;
    uint8_t position = static_cast<uint8_t>(op_.arg_table.size());
    if (position == 31) error("at most 31 arguments");
    if (info.kind == Kind::kTensor || info.kind == Kind::kTensorList || info.kind == Kind::kTensorOrScalar)
      op_.tensor_args[op_.tensor_arg_count++] = position;
    if ((flags & ATLED_ARG_MUTATED) && info.kind == Kind::kTensorList) {
      op_.mutated_lists |= 1u << position;
    } else if (flags & ATLED_ARG_MUTATED) {
      if (op_.mutated >= 0) error("one Tensor(a!) argument at most");
      op_.mutated = position;
    }
    if (info.kind == Kind::kDtype) op_.dtype_arg = position;
    if (info.kind == Kind::kDevice) op_.device_arg = position;
    op_.infos.push_back(info);
    op_.arg_table.push_back(arg);
  }

  void result() {
    ArgInfo info{};
    uint32_t tag = 0, flags = 0;
    op_.out_types.push_back(type(info, tag, flags));
    skip();
    op_.out_name_table.push_back(isalpha(static_cast<unsigned char>(*at_)) ? keep(word()) : "");
    if (info.kind != Kind::kTensor) op_.returns_tensors = false;
    if (info.kind == Kind::kTensorList) op_.out_list = 1;
  }

  void results() {
    if (!accept("(")) return result();
    while (!accept(")")) {
      if (!op_.out_types.empty()) expect(",");
      result();
    }
  }

  const char* begin_;
  const char* at_;
  Op& op_;
  bool first_ = true;
};

}  // namespace

void parse_schema(const char* text, Op& op) {
  op.strings.reserve(256);  // pointers into it must stay
  Parser(text, op).run();
  op.ns = op.ns_text.c_str();
  op.name = op.name_text.c_str();
  op.schema = op.schema_text.c_str();
  op.nargs = static_cast<uint16_t>(op.arg_table.size());
  op.nouts = static_cast<uint16_t>(op.out_types.size());
  if (op.nouts > 8) fail(ATLED_E_VALUE, "schema \"%s\": expected at most 8 results, got %d", text, op.nouts);
  op.args = op.arg_table.data();
  op.out_names = op.out_name_table.data();
}

}  // namespace atled::core
