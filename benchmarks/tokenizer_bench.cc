// Megabytes of text per second of one core's time, and the time to load a tokenizer.
//
//   tokenizer_bench [--smoke] [--curve] [--texts FILE] [--seconds S] [tokenizer.json ...]
//
// FILE holds one text per line (tools/bench_tokenizers.py writes one); without it a seeded mix of
// English words is made. Without files the golden ones are used. For each file: ids alone, and ids
// with offsets; the best of several passes and the median are printed. --curve gives instead what a
// byte costs in single texts of 1 kB to 1 MB: words, spaces, one word without end, Chinese, mixed
// case letters. Run from the repository's root.
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/strings.h"
#include "infer/text/tokenizer/tokenizer.h"

namespace {

constexpr uint64_t kSeed = 17;

// Processor time of this thread, so that other work on the machine does not count.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::vector<std::string> english_texts(size_t count) {
  constexpr std::string_view kWords[] = {
      "the",        "of",        "and",       "people",   "government", "another",
      "understand", "because",   "language",  "model",    "quickly",    "river",
      "morning",    "something", "important", "question", "answers",    "to",
      "in",         "was",       "weather",   "always",   "between",    "children",
      "different",  "example",   "it's",      "2024",     "London",     "embedding"};
  sis::Rng rng{kSeed};
  std::vector<std::string> texts(count);
  for (std::string& text : texts) {
    for (uint64_t words = 5 + rng.below(120); words > 0; --words) {
      text += kWords[rng.below(std::size(kWords))];
      text += rng.below(12) == 0 ? ". " : " ";
    }
  }
  return texts;
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

double resident_mb() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

int run(const std::string& path, const std::vector<std::string>& texts, double seconds) {
  const std::string json = read_all(path);
  const double load_begin = cpu_seconds();
  auto made = sis::text::Tokenizer::from_json(json);
  const double load_ms = (cpu_seconds() - load_begin) * 1e3;
  if (!made) {
    fmt::print(stderr, "tokenizer_bench: {}: {}\n", path, made.error().message);
    return 1;
  }
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  for (const bool with_offsets : {false, true}) {
    std::vector<double> rates;
    size_t tokens = 0;
    const double begin = cpu_seconds();
    do {
      const double pass = cpu_seconds();
      tokens = 0;
      for (const std::string& text : texts)
        tokens += (*made)->encode(text, {.with_offsets = with_offsets}).ids.size();
      rates.push_back(static_cast<double>(bytes) / 1e6 / (cpu_seconds() - pass));
    } while (cpu_seconds() - begin < seconds);
    std::sort(rates.begin(), rates.end());
    fmt::print(
        "{:<44} {:<12} best {:6.1f} MB/s  median {:6.1f}  passes {:3}  {:.2f} bytes/token  load "
        "{:.0f} ms"
        "  peak {:.0f} MB\n",
        path.substr(path.size() > 44 ? path.size() - 44 : 0), with_offsets ? "offsets" : "ids",
        rates.back(), rates[rates.size() / 2], rates.size(),
        static_cast<double>(bytes) / static_cast<double>(std::max<size_t>(tokens, 1)), load_ms,
        resident_mb());
  }
  return 0;
}

// Nanoseconds per byte of single texts of growing size; what grows with the size is not linear.
int run_curve(const std::string& path, bool smoke) {
  auto made = sis::text::Tokenizer::from_json(read_all(path));
  if (!made) {
    fmt::print(stderr, "tokenizer_bench: {}: {}\n", path, made.error().message);
    return 1;
  }
  sis::Rng rng{kSeed};
  const auto text_of = [&](std::string_view kind, size_t bytes) {
    std::string text;
    while (text.size() < bytes) {
      if (kind == "words")
        text += english_texts(1)[0];
      else if (kind == "spaces")
        text += ' ';
      else if (kind == "one word")
        text += static_cast<char>('a' + rng.below(26));
      else if (kind == "one letter")
        text += 'a';
      else if (kind == "chinese")
        text += fmt::format("{}", std::string{'\xE4', static_cast<char>(0xB8 + rng.below(8)),
                                              static_cast<char>(0x80 + rng.below(64))});
      else
        text += "\n ";
    }
    return text;
  };
  fmt::print("{}\n{:<12}", path, "ns/byte");
  std::vector<size_t> sizes{1'000, 10'000, 100'000, 1'000'000};
  if (smoke) sizes = {1'000, 4'000};
  for (const size_t bytes : sizes) fmt::print("{:>10} B", bytes);
  fmt::print("\n");
  for (const char* kind : {"words", "spaces", "one word", "one letter", "chinese", "line breaks"}) {
    fmt::print("{:<12}", kind);
    for (const size_t bytes : sizes) {
      const std::string text = text_of(kind, bytes);
      double best = 1e9;
      for (size_t round = 0; round < (smoke ? 1 : 3 + 200'000 / bytes); ++round) {
        const double begin = cpu_seconds();
        (*made)->encode(text, {});
        best = std::min(best, cpu_seconds() - begin);
      }
      fmt::print("{:>12.1f}", best * 1e9 / static_cast<double>(text.size()));
    }
    fmt::print("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths, texts;
  double seconds = 2;
  bool smoke = false, curve = false;
  size_t count = 4000;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--smoke") {
      smoke = true;
      seconds = 0;
      count = 20;
    } else if (argument == "--curve") {
      curve = true;
    } else if (argument == "--seconds" && i + 1 < argc) {
      seconds = std::atof(argv[++i]);
    } else if (argument == "--texts" && i + 1 < argc) {
      std::ifstream file(argv[++i]);
      for (std::string line; std::getline(file, line);) texts.push_back(line);
    } else {
      paths.emplace_back(argument);
    }
  }
  if (texts.empty()) texts = english_texts(count);
  if (paths.empty())
    for (const char* style :
         {"bert-uncased", "bert-cased", "xlmr", "gpt2", "llama3", "qwen2", "gemma", "whisper"})
      paths.push_back(sis::concat("tests/golden/tokenizer/", style, "/tokenizer.json"));
  fmt::print("tokenizer_bench: commit {}, {} texts, seed {}, one thread\n", SIS_COMMIT,
             texts.size(), kSeed);
  if (curve) {
    for (const std::string& path : paths)
      if (const int status = run_curve(path, smoke); status != 0) return status;
    return 0;
  }
  for (const std::string& path : paths)
    if (const int status = run(path, texts, seconds); status != 0) return status;
  return 0;
}
