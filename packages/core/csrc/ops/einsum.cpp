// Einstein sums: operands are reduced pair by pair, each pair by one batched matmul, in an order that keeps the number
// of multiplications small. The order is found here rather than by the package opt_einsum: for few operands the search
// for the best one takes microseconds.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "dispatch/register.h"
#include "ops/layout.h"

namespace atled::core {
namespace {

const Op permute_op{"core::permute"};
const Op reshape_op{"core::reshape"};
const Op diagonal_op{"core::diagonal"};
const Op expand_op{"core::expand"};
const Op unsqueeze_op{"core::unsqueeze"};
const Op sum_op{"core::sum"};
const Op matmul_op{"core::matmul"};

// Letters stand for themselves; the dimensions of ... are numbers from 256 on, counted from the right.
using Labels = std::vector<int>;

struct Term {
  Tensor tensor;
  Labels labels;
};

bool has(const Labels& labels, int label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }
int place(const Labels& labels, int label) {
  return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
}

[[noreturn]] void refuse(const std::string& equation, const std::string& why) {
  fail(ATLED_E_VALUE, "expected %s, got \"%s\"", why.c_str(), equation.c_str());
}

// One side's subscript; rest: how many dimensions ... stands for.
Labels parse(const std::string& text, const std::string& equation, int rest, bool* dots) {
  Labels labels;
  *dots = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 3, "...") == 0 && !*dots) {
      *dots = true;
      i += 2;
      for (int d = rest - 1; d >= 0; --d) labels.push_back(256 + d);
    } else if (std::isalpha(static_cast<unsigned char>(text[i]))) {
      labels.push_back(text[i]);
    } else {
      refuse(equation, "subscripts of letters and ...");
    }
  }
  return labels;
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// A label that a term has twice means its diagonal.
void take_diagonals(Term& term) {
  for (size_t i = 0; i < term.labels.size(); ++i)
    for (size_t j = i + 1; j < term.labels.size();) {
      if (term.labels[i] != term.labels[j]) {
        ++j;
        continue;
      }
      const int64_t m = term.tensor->dl.shape[i], n = term.tensor->dl.shape[j];
      if (m != n)
        fail(ATLED_E_SHAPE, "expected a repeated subscript to name dimensions of one size, got %lld and %lld",
             (long long)m, (long long)n);
      term.tensor = diagonal_op(term.tensor, 0, static_cast<int>(i), static_cast<int>(j));
      const int label = term.labels[i];
      term.labels.erase(term.labels.begin() + static_cast<long>(j));
      term.labels.erase(term.labels.begin() + static_cast<long>(i));
      term.labels.push_back(label);
      return take_diagonals(term);
    }
}

void sum_out(Term& term, const Labels& kept) {
  std::vector<int64_t> dims;
  Labels left;
  for (size_t i = 0; i < term.labels.size(); ++i) {
    if (has(kept, term.labels[i])) {
      left.push_back(term.labels[i]);
    } else {
      dims.push_back(static_cast<int64_t>(i));
    }
  }
  if (dims.empty()) return;
  term.tensor = sum_op(term.tensor, ints_value(dims.data(), dims.size()));
  term.labels = left;
}

// The term's dimensions in the order of `wanted`, those it lacks as size 1.
Tensor arranged(const Term& term, const Labels& wanted) {
  std::vector<int64_t> order;
  for (int label : wanted)
    if (has(term.labels, label)) order.push_back(place(term.labels, label));
  Tensor t = permute_op(term.tensor, ints_value(order.data(), order.size()));
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!has(term.labels, wanted[i])) t = unsqueeze_op(t, static_cast<int>(i));
  return t;
}

// As (batch, rows, columns), each a group of labels whose sizes are given.
Tensor grouped(const Term& term, const std::vector<Labels>& groups, const std::vector<std::vector<int64_t>>& sizes) {
  Labels wanted;
  std::vector<int64_t> full, joined;
  for (size_t g = 0; g < groups.size(); ++g) {
    wanted.insert(wanted.end(), groups[g].begin(), groups[g].end());
    full.insert(full.end(), sizes[g].begin(), sizes[g].end());
    int64_t product = 1;
    for (int64_t n : sizes[g]) product *= n;
    joined.push_back(product);
  }
  Tensor t = expand_op(arranged(term, wanted), ints_value(full.data(), full.size()));
  return reshape_op(t, ints_value(joined.data(), joined.size()));
}

// a and b as one term; the labels that are not kept are summed over.
Term contracted(Term a, Term b, const Labels& kept) {
  Labels both_kept = kept;
  for (int label : b.labels) both_kept.push_back(label);
  sum_out(a, both_kept);
  both_kept = kept;
  for (int label : a.labels) both_kept.push_back(label);
  sum_out(b, both_kept);
  Labels batch, rows, columns, summed;
  std::vector<int64_t> batch_sizes, row_sizes, column_sizes, summed_sizes;
  for (size_t i = 0; i < a.labels.size(); ++i) {
    const int label = a.labels[i];
    const int64_t n = a.tensor->dl.shape[i];
    if (!has(b.labels, label)) {
      rows.push_back(label);
      row_sizes.push_back(n);
      continue;
    }
    const int64_t m = b.tensor->dl.shape[place(b.labels, label)];
    if (m != n && m != 1 && n != 1)
      fail(ATLED_E_SHAPE, "expected a subscript's dimensions to be of one size, got %lld and %lld", (long long)n,
           (long long)m);
    (has(kept, label) ? batch : summed).push_back(label);
    (has(kept, label) ? batch_sizes : summed_sizes).push_back(n == 1 ? m : n);
  }
  for (size_t i = 0; i < b.labels.size(); ++i)
    if (!has(a.labels, b.labels[i])) {
      columns.push_back(b.labels[i]);
      column_sizes.push_back(b.tensor->dl.shape[i]);
    }
  Tensor product = matmul_op(grouped(a, {batch, rows, summed}, {batch_sizes, row_sizes, summed_sizes}),
                             grouped(b, {batch, summed, columns}, {batch_sizes, summed_sizes, column_sizes}));
  Term out;
  std::vector<int64_t> shape;
  for (const auto* part : {&batch, &rows, &columns}) out.labels.insert(out.labels.end(), part->begin(), part->end());
  for (const auto* part : {&batch_sizes, &row_sizes, &column_sizes})
    shape.insert(shape.end(), part->begin(), part->end());
  out.tensor = reshape_op(product, ints_value(shape.data(), shape.size()));
  return out;
}

// A set of labels, bit i for the i-th different one.
using LabelSet = uint64_t;

// The operands of three or more, and in which order to take them.
class Chain {
 public:
  Chain(std::vector<Term> terms, const Labels& wanted) : terms_(std::move(terms)), wanted_(set_of(wanted)) {
    for (const Term& term : terms_) {
      sets_.push_back(set_of(term.labels));
      for (size_t i = 0; i < term.labels.size(); ++i) {
        double& size = sizes_[static_cast<size_t>(place(known_, term.labels[i]))];
        size = std::max(size, static_cast<double>(term.tensor->dl.shape[i]));
      }
    }
  }

  Term contract() {
    if (terms_.size() > kExhaustive) return greedy();
    search();
    return best((size_t{1} << terms_.size()) - 1);
  }

 private:
  // Up to so many operands all orders are compared: 3^8 splits.
  static constexpr size_t kExhaustive = 8;

  LabelSet set_of(const Labels& labels) {
    LabelSet set = 0;
    for (int label : labels) {
      const size_t at = static_cast<size_t>(place(known_, label));
      if (at == 64) fail(ATLED_E_VALUE, "expected at most 64 different subscripts");
      if (at == known_.size()) {
        known_.push_back(label);
        sizes_.push_back(1);
      }
      set |= LabelSet{1} << at;
    }
    return set;
  }
  Labels labels_of(LabelSet set) const {
    Labels labels;
    for (size_t i = 0; i < known_.size(); ++i)
      if (set >> i & 1) labels.push_back(known_[i]);
    return labels;
  }
  // Multiplications of a product over these labels.
  double cost(LabelSet set) const {
    double product = 1;
    for (size_t i = 0; i < known_.size(); ++i)
      if (set >> i & 1) product *= sizes_[i];
    return product;
  }
  LabelSet kept_by(size_t group) const {
    LabelSet others = wanted_;
    for (size_t i = 0; i < sets_.size(); ++i)
      if (!(group >> i & 1)) others |= sets_[i];
    return others;
  }

  // For every group of operands the cheapest way to make it of two, by dynamic programming over the groups.
  void search() {
    const size_t groups = size_t{1} << terms_.size();
    std::vector<double> costs(groups, 0);
    std::vector<LabelSet> left(groups, 0);
    split_.assign(groups, 0);
    for (size_t group = 1; group < groups; ++group) {
      for (size_t i = 0; i < terms_.size(); ++i)
        if (group >> i & 1) left[group] |= sets_[i];
      if ((group & (group - 1)) == 0) continue;
      left[group] &= kept_by(group);
      costs[group] = std::numeric_limits<double>::infinity();
      for (size_t one = (group - 1) & group; one > 0; one = (one - 1) & group) {
        const size_t other = group ^ one;
        if (one < other) continue;
        const double total = costs[one] + costs[other] + cost(left[one] | left[other]);
        if (total >= costs[group]) continue;
        costs[group] = total;
        split_[group] = one;
      }
    }
  }
  Term best(size_t group) const {
    for (size_t i = 0; i < terms_.size(); ++i)
      if (group == size_t{1} << i) return terms_[i];
    return contracted(best(group ^ split_[group]), best(split_[group]), labels_of(kept_by(group)));
  }

  // The cheapest pair each time.
  Term greedy() {
    while (terms_.size() > 1) {
      size_t first = 0, second = 1;
      double least = std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < terms_.size(); ++i)
        for (size_t j = i + 1; j < terms_.size(); ++j) {
          const double total = cost(sets_[i] | sets_[j]);
          if (total >= least) continue;
          least = total;
          first = i;
          second = j;
        }
      LabelSet kept = wanted_;
      for (size_t i = 0; i < sets_.size(); ++i)
        if (i != first && i != second) kept |= sets_[i];
      terms_[first] = contracted(terms_[first], terms_[second], labels_of(kept));
      sets_[first] = set_of(terms_[first].labels);
      terms_.erase(terms_.begin() + static_cast<long>(second));
      sets_.erase(sets_.begin() + static_cast<long>(second));
    }
    return terms_[0];
  }

  std::vector<Term> terms_;
  Labels known_;
  std::vector<double> sizes_;
  LabelSet wanted_;
  std::vector<LabelSet> sets_;
  std::vector<size_t> split_;
};

void einsum(atled_frame* f) {
  std::string equation;
  for (char c : std::string(f->args[0].u.str, f->args[0].n))
    if (c != ' ') equation += c;
  const atled_value& operands = f->args[1];
  const size_t arrow = equation.find("->");
  const std::vector<std::string> inputs = split(equation.substr(0, arrow), ',');
  if (inputs.size() != operands.n)
    fail(ATLED_E_VALUE, "expected %zu operands for \"%s\", got %u", inputs.size(), equation.c_str(), operands.n);
  std::vector<Term> terms;
  int widest = 0;
  std::vector<int> counts(512, 0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    atled_tensor* t = operands.u.tensors[i];
    bool dots = false;
    const int named = static_cast<int>(parse(inputs[i], equation, 0, &dots).size()), rest = t->dl.ndim - named;
    if (rest < 0 || (rest > 0 && !dots))
      fail(ATLED_E_SHAPE, "expected operand %zu of %d dimensions for \"%s\", got shape %s", i, named, inputs[i].c_str(),
           shape_text(t).c_str());
    terms.push_back({Tensor::borrow(t), parse(inputs[i], equation, rest, &dots)});
    widest = std::max(widest, rest);
    for (int label : terms.back().labels) ++counts[static_cast<size_t>(label)];
    take_diagonals(terms.back());
  }
  Labels wanted;
  if (arrow == std::string::npos) {
    for (int d = widest - 1; d >= 0; --d) wanted.push_back(256 + d);
    for (int label = 0; label < 256; ++label)
      if (counts[static_cast<size_t>(label)] == 1) wanted.push_back(label);
  } else {
    bool dots = false;
    wanted = parse(equation.substr(arrow + 2), equation, widest, &dots);
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (counts[static_cast<size_t>(wanted[i])] == 0) refuse(equation, "results whose subscripts the operands have");
      if (std::count(wanted.begin(), wanted.end(), wanted[i]) > 1)
        refuse(equation, "each subscript of the result once");
    }
  }
  Term result = terms[0];
  if (terms.size() == 2) result = contracted(terms[0], terms[1], wanted);
  if (terms.size() > 2) result = Chain(std::move(terms), wanted).contract();
  sum_out(result, wanted);
  set_out(f, 0, arranged(result, wanted));
}

void add_einsum() { add_kernel("core::einsum", ATLED_DEVICE_ANY, kernel<einsum>); }

ATLED_KERNELS(add_einsum);

}  // namespace
}  // namespace atled::core
