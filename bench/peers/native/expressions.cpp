// A call-heavy C++ program: expressions are made, parsed by recursive descent, evaluated over several number
// types by templates and virtual functions, sorted and looked up; every so often an exception goes through
// several frames with destructors.
//
//   expressions COUNT      COUNT expressions; prints a checksum
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

struct SyntaxError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct DivisionByZero : std::domain_error {
  using std::domain_error::domain_error;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  unsigned below(unsigned limit) {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<unsigned>(state_ >> 33) % limit;
  }

 private:
  std::uint64_t state_;
};

// ------------------------------------------------------------------------------------------------------
// nodes

template <class Number>
using Names = std::map<std::string, Number, std::less<>>;

class Node {
 public:
  virtual ~Node() = default;
  [[nodiscard]] virtual long evaluate(const Names<long>& names) const = 0;
  [[nodiscard]] virtual double evaluate(const Names<double>& names) const = 0;
};
using Tree = std::unique_ptr<Node>;

/// Both evaluations of a node are one template of it.
template <class Derived>
class TypedNode : public Node {
 public:
  [[nodiscard]] long evaluate(const Names<long>& names) const override {
    return self().template value<long>(names);
  }
  [[nodiscard]] double evaluate(const Names<double>& names) const override {
    return self().template value<double>(names);
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

class Literal : public TypedNode<Literal> {
 public:
  explicit Literal(long number) : number_(number) {}
  template <class Number>
  Number value(const Names<Number>& /*names*/) const {
    return static_cast<Number>(number_);
  }

 private:
  long number_;
};

class Name : public TypedNode<Name> {
 public:
  explicit Name(std::string text) : text_(std::move(text)) {}
  template <class Number>
  Number value(const Names<Number>& names) const {
    return names.at(text_);
  }

 private:
  std::string text_;
};

struct Add {
  template <class Number>
  static Number apply(Number a, Number b) {
    if constexpr (std::is_integral_v<Number>)
      return static_cast<Number>(static_cast<unsigned long>(a) + static_cast<unsigned long>(b));
    return a + b;
  }
};
struct Multiply {
  template <class Number>
  static Number apply(Number a, Number b) {
    if constexpr (std::is_integral_v<Number>)
      return static_cast<Number>(static_cast<unsigned long>(a) * static_cast<unsigned long>(b));
    return a * b;
  }
};
struct Divide {
  template <class Number>
  static Number apply(Number a, Number b) {
    if (b == Number{0}) throw DivisionByZero("division by zero");
    if constexpr (std::is_integral_v<Number>) return b == -1 ? 0 : a / b;
    return a / b;
  }
};

template <class Operation>
class Binary : public TypedNode<Binary<Operation>> {
 public:
  Binary(Tree left, Tree right) : left_(std::move(left)), right_(std::move(right)) {}
  template <class Number>
  Number value(const Names<Number>& names) const {
    return Operation::apply(left_->evaluate(names), right_->evaluate(names));
  }

 private:
  Tree left_;
  Tree right_;
};

// ------------------------------------------------------------------------------------------------------
// parsing

class Parser {
 public:
  explicit Parser(const std::string& text) : at_(text.c_str()) {}

  Tree parse() {
    Tree tree = sum();
    if (*at_ != '\0') throw SyntaxError("something behind the expression");
    return tree;
  }

 private:
  Tree sum() {
    Tree left = product();
    while (take('+')) left = std::make_unique<Binary<Add>>(std::move(left), product());
    return left;
  }

  Tree product() {
    Tree left = factor();
    for (;;) {
      if (take('*')) {
        left = std::make_unique<Binary<Multiply>>(std::move(left), factor());
      } else if (take('/')) {
        left = std::make_unique<Binary<Divide>>(std::move(left), factor());
      } else {
        return left;
      }
    }
  }

  Tree factor() {
    if (take('(')) {
      Tree inner = sum();
      if (!take(')')) throw SyntaxError("a bracket is missing");
      return inner;
    }
    if (*at_ >= 'a' && *at_ <= 'z') return std::make_unique<Name>(std::string(1, *at_++));
    return number();
  }

  Tree number() {
    if (*at_ < '0' || *at_ > '9') throw SyntaxError("a number is missing");
    long value = 0;
    for (; *at_ >= '0' && *at_ <= '9'; ++at_) value = value * 10 + (*at_ - '0');
    return std::make_unique<Literal>(value);
  }

  bool take(char c) {
    if (*at_ != c) return false;
    ++at_;
    return true;
  }

  const char* at_;
};

/// About one in ten has a mistake or divides by zero.
void make_text(Random& random, int depth, std::string& text) {
  const unsigned kind = depth == 0 ? random.below(2) : random.below(6);
  if (kind == 0) {
    text += std::to_string(random.below(1000) + (random.below(60) == 0 ? 0U : 1U));
  } else if (kind == 1) {
    text += static_cast<char>('a' + random.below(26));
  } else {
    text += '(';
    make_text(random, depth - 1, text);
    text += "+*/+*"[kind - 1];
    make_text(random, depth - 1, text);
    if (random.below(400) != 0) text += ')';
  }
}

/// What one expression gives: two numbers, or a mark for its error.
double result_of(const std::string& text, const Names<long>& whole, const Names<double>& real) {
  try {
    const Tree tree = Parser(text).parse();
    return static_cast<double>(tree->evaluate(whole) % 1000) + tree->evaluate(real);
  } catch (const SyntaxError& error) {
    return -static_cast<double>(std::string(error.what()).size());
  } catch (const DivisionByZero&) {
    return -1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Random random(7);
  Names<long> whole;
  Names<double> real;
  for (char c = 'a'; c <= 'z'; ++c) {
    whole[std::string(1, c)] = c - 'a';  // a is 0: some divide by it
    real[std::string(1, c)] = (c - 'a') / 4.0;
  }
  std::vector<double> results;
  std::uint64_t checksum = 0;
  for (long i = std::atol(argv[1]); i > 0; --i) {
    std::string text;
    make_text(random, 4, text);
    results.push_back(result_of(text, whole, real));
    if (results.size() == 1000) {
      std::sort(results.begin(), results.end());
      checksum = checksum * 31 + static_cast<std::uint64_t>(results[500] * 8);
      results.clear();
    }
  }
  std::printf("%lu\n", static_cast<unsigned long>(checksum));
  return 0;
}
