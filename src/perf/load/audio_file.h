// Recordings to send: files, folders of them, or silence made in memory.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sis::perf {

struct AudioFile {
  std::string name;  // without folders: "a.wav"
  std::string bytes;
  std::optional<double> seconds;  // how long it plays, where its head tells
};

inline constexpr size_t kAudioFilesMax = 10'000;
inline constexpr size_t kAudioBytesMax = size_t{1} << 30;  // of all of them

// 16-bit mono WAV at 16 kHz.
AudioFile silent_wav(double seconds, const std::string& name);

// A file, or the audio files of a folder (by their suffix) in the order of their names.
Result<std::vector<AudioFile>> read_audio(const std::string& path);

// How long WAV, FLAC, Ogg (Vorbis, Opus) and MP3 data plays; empty: another format, or damaged.
std::optional<double> audio_seconds(std::string_view bytes);

// "audio/wav" by the name's suffix; "application/octet-stream" for an unknown one.
const char* audio_content_type(std::string_view name);

}  // namespace sis::perf
