#include "perf/load/audio_file.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>

#include "base/file.h"
#include "base/strings.h"

namespace sis::perf {
namespace {

struct Suffix {
  const char* text;
  const char* type;
};
constexpr Suffix kSuffixes[] = {
    {".wav", "audio/wav"},   {".flac", "audio/flac"}, {".mp3", "audio/mpeg"},
    {".ogg", "audio/ogg"},   {".oga", "audio/ogg"},   {".opus", "audio/ogg"},
    {".m4a", "audio/mp4"},   {".mp4", "audio/mp4"},   {".webm", "audio/webm"},
    {".mpga", "audio/mpeg"}, {".mpeg", "audio/mpeg"},
};

uint64_t little(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

uint64_t big(std::string_view bytes, size_t at, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// RIFF chunks: `fmt ` tells bytes per second, `data` how many there are.
std::optional<double> wav_seconds(std::string_view bytes) {
  double byte_rate = 0;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const std::string_view name = bytes.substr(at, 4);
    const uint64_t size = little(bytes, at + 4, 4);
    const uint64_t there = std::min<uint64_t>(size, bytes.size() - at - 8);
    if (name == "fmt " && there >= 16) byte_rate = static_cast<double>(little(bytes, at + 16, 4));
    if (name == "data")
      return byte_rate > 0 ? std::optional(static_cast<double>(there) / byte_rate) : std::nullopt;
    at += 8 + there + (there & 1);
  }
  return std::nullopt;
}

// STREAMINFO comes first: 20 bits sample rate, 36 bits samples (RFC 9639, 8.2).
std::optional<double> flac_seconds(std::string_view bytes) {
  if (bytes.size() < 42 || (bytes[4] & 0x7F) != 0) return std::nullopt;
  const uint64_t word = big(bytes, 18, 8);
  const uint64_t rate = word >> 44, samples = word & 0xFFFFFFFFFu;
  if (rate == 0 || samples == 0) return std::nullopt;
  return static_cast<double>(samples) / static_cast<double>(rate);
}

// The last page's position, in samples: of Opus at 48 kHz less its pre-skip (RFC 7845).
std::optional<double> ogg_seconds(std::string_view bytes) {
  double rate = 0, skip = 0;
  if (const size_t opus = bytes.substr(0, 200).find("OpusHead");
      opus != std::string_view::npos && opus + 12 <= bytes.size()) {
    rate = 48000;
    skip = static_cast<double>(little(bytes, opus + 10, 2));
  } else if (const size_t vorbis = bytes.substr(0, 200).find("\x01vorbis");
             vorbis != std::string_view::npos && vorbis + 16 <= bytes.size()) {
    rate = static_cast<double>(little(bytes, vorbis + 12, 4));
  }
  const size_t last = bytes.rfind("OggS");
  if (rate == 0 || last == std::string_view::npos || last + 14 > bytes.size()) return std::nullopt;
  const uint64_t position = little(bytes, last + 6, 8);
  if (position > uint64_t{1} << 48) return std::nullopt;
  return std::max(0.0, (static_cast<double>(position) - skip) / rate);
}

// Walks the frames of layer III (ISO 11172-3, 13818-3).
std::optional<double> mp3_seconds(std::string_view bytes) {
  static constexpr int kKbps[2][16] = {
      {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},  // MPEG 1
      {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0}};     // 2 and 2.5
  static constexpr int kRates[4] = {44100, 48000, 32000, 0};
  size_t at = 0;
  if (bytes.starts_with("ID3") && bytes.size() > 10) {
    at = 10;
    size_t tag = 0;
    for (size_t i = 6; i < 10; ++i) tag = tag << 7 | (static_cast<unsigned char>(bytes[i]) & 0x7F);
    at += tag;
  }
  double seconds = 0;
  size_t frames = 0;
  while (at + 4 <= bytes.size()) {
    const uint64_t head = big(bytes, at, 4);
    const auto version = head >> 19 & 3;  // 3: MPEG 1, 2: MPEG 2, 0: 2.5
    if (head >> 21 != 0x7FF || version == 1 || (head >> 17 & 3) != 1) break;
    const int kbps = kKbps[version == 3 ? 0 : 1][head >> 12 & 15];
    const int rate = kRates[head >> 10 & 3] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
    if (kbps == 0 || rate == 0) break;
    const int samples = version == 3 ? 1152 : 576;
    at += static_cast<size_t>(samples / 8 * kbps * 1000 / rate) + (head >> 9 & 1);
    seconds += static_cast<double>(samples) / rate;
    ++frames;
  }
  return frames > 0 ? std::optional(seconds) : std::nullopt;
}

const Suffix* find_suffix(std::string_view name) {
  const std::string lower = to_lower(name);
  for (const Suffix& suffix : kSuffixes)
    if (lower.ends_with(suffix.text)) return &suffix;
  return nullptr;
}

void append_little(std::string& out, uint64_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

AudioFile silent_wav(double seconds, const std::string& name) {
  constexpr uint32_t kRate = 16000, kBytes = 2;
  const auto data_bytes = static_cast<uint32_t>(seconds * kRate) * kBytes;
  AudioFile file{.name = name, .seconds = data_bytes / static_cast<double>(kRate * kBytes)};
  std::string& out = file.bytes;
  out += "RIFF";
  append_little(out, 36 + data_bytes, 4);
  out += "WAVEfmt ";
  append_little(out, 16, 4);
  append_little(out, 1, 2);  // PCM
  append_little(out, 1, 2);  // channels
  append_little(out, kRate, 4);
  append_little(out, kRate * kBytes, 4);
  append_little(out, kBytes, 2);
  append_little(out, 16, 2);
  out += "data";
  append_little(out, data_bytes, 4);
  out.append(data_bytes, '\0');
  return file;
}

Result<std::vector<AudioFile>> read_audio(const std::string& path) {
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(path, error)) {
    for (std::filesystem::directory_iterator it(path, error), end; !error && it != end;
         it.increment(error)) {
      if (!it->is_regular_file(error) || find_suffix(it->path().filename().string()) == nullptr)
        continue;
      if (paths.size() == kAudioFilesMax)
        return Error{Code::kTooLarge,
                     concat("folder ", in_quotes(path), ": over ", kAudioFilesMax, " audio files")};
      paths.push_back(it->path());
    }
    if (error)
      return Error{Code::kInvalidArgument,
                   concat("folder ", in_quotes(path), ": cannot be read: ", error.message())};
    if (paths.empty())
      return Error{Code::kInvalidArgument,
                   concat("folder ", in_quotes(path),
                          ": want audio files (.wav, .flac, .mp3, .ogg, ...), found none")};
    std::sort(paths.begin(), paths.end());
  } else {
    paths.emplace_back(path);
  }
  std::vector<AudioFile> files;
  size_t bytes = 0;
  for (const auto& each : paths) {
    AudioFile file{.name = each.filename().string()};
    SIS_ASSIGN(file.bytes, read_file(each, kAudioBytesMax));
    bytes += file.bytes.size();
    if (bytes > kAudioBytesMax)
      return Error{Code::kTooLarge,
                   concat(in_quotes(path), ": over ", kAudioBytesMax >> 20, " MiB of audio")};
    file.seconds = audio_seconds(file.bytes);
    files.push_back(std::move(file));
  }
  return files;
}

std::optional<double> audio_seconds(std::string_view bytes) {
  if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WAVE")
    return wav_seconds(bytes);
  if (bytes.starts_with("fLaC")) return flac_seconds(bytes);
  if (bytes.starts_with("OggS")) return ogg_seconds(bytes);
  return mp3_seconds(bytes);
}

const char* audio_content_type(std::string_view name) {
  const Suffix* suffix = find_suffix(name);
  return suffix == nullptr ? "application/octet-stream" : suffix->type;
}

}  // namespace sis::perf
