// SentencePiece's compiled normalizer, applied the way the `tokenizers` library does: cluster by
// cluster when a grapheme cluster is shorter than 6 bytes and begins with a known key (the whole
// cluster then gives way to that key's replacement), else character by character.
#include <array>

#include "infer/text/tokenizer/normalizer.h"
#include "infer/text/tokenizer/precompiled.h"
#include "infer/text/tokenizer/unicode_forms.h"
#include "infer/text/tokenizer/utf8.h"

namespace sis::text::tok {
namespace {

constexpr size_t kClusterBytesMax = 5;

class PrecompiledNormalizer final : public Normalizer {
 public:
  explicit PrecompiledNormalizer(CharsMap map) : map_(std::move(map)) {
    for (int c = 0; c < 128; ++c) {
      const char byte = static_cast<char>(c);
      plain_[c] = byte != '\r' && !map_.replacement({&byte, 1});
    }
  }

  void normalize(NormalizedString& string) const override {
    if (first_special(string.text()) == string.text().size()) return;
    static thread_local std::vector<Change> changes;
    changes.clear();
    if (!string.tracked()) {
      static thread_local std::string next;
      next.clear();
      rewrite(string.text(), TextSink{next, string.bytes_max()});
      string.assign_untracked(next);
      if (next.capacity() > kChangesKept) next = {};
    } else if (rewrite(string.text(), ChangeSink{changes, string.bytes_max()})) {
      string.transform(changes);
    }
    if (changes.capacity() > kChangesKept) changes = {};
  }

 private:
  // Only the text, when offsets are not wanted.
  struct TextSink {
    std::string& out;
    size_t bytes_max;
    void keep(std::string_view text) { out.append(text); }
    void replace(std::string_view old, std::string_view by) {
      out.append(out.size() > bytes_max ? old : by);
    }
  };

  struct ChangeSink {
    std::vector<Change>& out;
    size_t bytes_max;
    void keep(std::string_view text) {
      for (size_t at = 0, bytes = 0; at < text.size(); at += bytes)
        out.push_back({decode_utf8(text, at, bytes), 0});
    }
    // As many characters as before replace one another; more are insertions, and what is too many
    // is charged to the last character written, whichever that is.
    void replace(std::string_view old, std::string_view by) {
      if (out.size() > bytes_max) return keep(old);
      int32_t surplus = 0;
      for (char byte : old) surplus -= is_continuation(byte) ? 0 : 1;
      for (size_t at = 0, bytes = 0; at < by.size(); at += bytes) {
        out.push_back({decode_utf8(by, at, bytes), 0});
        ++surplus;
      }
      for (int32_t i = 0; i < surplus; ++i) out[out.size() - 1 - static_cast<size_t>(i)].change = 1;
      if (surplus < 0 && !out.empty()) out.back().change += surplus;
    }
  };

  size_t first_special(std::string_view text) const {
    size_t at = 0;
    while (at < text.size() && is_ascii(text[at]) && plain_[static_cast<unsigned char>(text[at])])
      ++at;
    return at;
  }

  // True when anything was replaced.
  template <class Sink>
  bool rewrite(std::string_view text, Sink sink) const {
    bool replaced = false;
    for (size_t at = 0; at < text.size();) {
      // A run of plain ASCII; its last character may be the base of a cluster with what follows.
      size_t run = first_special(text.substr(at));
      if (run > 0 && at + run < text.size() && !is_ascii(text[at + run])) --run;
      sink.keep(text.substr(at, run));
      at += run;
      if (at == text.size()) break;

      const std::string_view cluster = text.substr(at, cluster_length(text, at));
      at += cluster.size();
      if (cluster.size() <= kClusterBytesMax) {
        if (const auto by = map_.replacement(cluster)) {
          sink.replace(cluster, *by);
          replaced = true;
          continue;
        }
      }
      for (size_t i = 0; i < cluster.size();) {
        const std::string_view part = cluster.substr(i, utf8_length(cluster[i]));
        i += part.size();
        if (const auto by = map_.replacement(part)) {
          sink.replace(part, *by);
          replaced = true;
        } else {
          sink.keep(part);
        }
      }
    }
    return replaced;
  }

  const CharsMap map_;
  std::array<bool, 128> plain_{};
};

}  // namespace

Result<std::unique_ptr<Normalizer>> make_precompiled_normalizer(const JsonObject& config) {
  SIS_ASSIGN(const std::string_view encoded, config.string("precompiled_charsmap"));
  const auto bytes = decode_base64(encoded);
  if (!bytes)
    return Error{Code::kInvalidArgument,
                 concat(config.path_of("precompiled_charsmap"), ": not base64")};
  auto map = CharsMap::parse(*bytes);
  if (!map) return prefixed(config.path(), map.error());
  return std::unique_ptr<Normalizer>(
      std::make_unique<PrecompiledNormalizer>(std::move(map).value()));
}

}  // namespace sis::text::tok
