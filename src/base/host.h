// Facts of the machine a measurement was made on: they belong in its record, and `doctor` judges
// them. What cannot be read is absent, never zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace sextant {

struct HostFacts {
  std::string name;       // host name
  std::string kernel;     // "Linux 6.1.0-18-amd64"
  std::string cpu_model;  // "AMD EPYC 7763"
  int cores_online = 0;
  int cores_usable = 0;             // by this process's affinity mask
  std::optional<double> cpu_quota;  // cores allowed by the cgroup, when limited
  std::optional<uint64_t> memory_bytes;
  std::string clock_source;  // "tsc", "kvm-clock"; empty when unknown
  std::string governor;      // of core 0; empty when there is none (most VMs)
  uint64_t open_files_soft = 0, open_files_hard = 0;
  int port_first = 0, port_last = 0;  // ephemeral ports, one per outgoing connection and address
  int listen_backlog = 0;             // net.core.somaxconn
};

HostFacts ReadHostFacts();

// Raises the soft limit of open files to the hard one; returns the limit now in force.
uint64_t RaiseOpenFileLimit();

// CPU time of the calling thread or of the whole process so far.
Nanos ThreadCpuTime();
Nanos ProcessCpuTime();
// Time the calling thread was ready to run and waited for a core; absent where the kernel does not
// say.
std::optional<Nanos> ThreadRunQueueWait();
// Resident set of this process, and its largest value so far.
std::optional<uint64_t> ResidentBytes();
std::optional<uint64_t> PeakResidentBytes();

}  // namespace sextant
