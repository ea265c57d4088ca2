// A library with NVML's interface and two GPUs that are not there: the second tells less, as the
// partitions and older cards do. For tests.
#include <cstdio>

extern "C" {
int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
const char* nvmlErrorString(int) { return "unknown"; }
int nvmlDeviceGetCount_v2(unsigned* count) { return *count = 2, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static int devices[2] = {0, 1};
  return *device = &devices[index], 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned size) {
  std::snprintf(uuid, size, "GPU-fake-%d", *static_cast<int*>(device));
  return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  if (*static_cast<int*>(device) == 1) return 3;  // not supported
  rates[0] = 42, rates[1] = 7;
  return 0;
}
int nvmlDeviceGetMemoryInfo(void*, unsigned long long* memory) {
  memory[0] = 80ULL << 30, memory[1] = 79ULL << 30, memory[2] = 1ULL << 30;
  return 0;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  return *milliwatts = 61500, *static_cast<int*>(device) == 1 ? 3 : 0;
}
int nvmlDeviceGetEnforcedPowerLimit(void*, unsigned* milliwatts) { return *milliwatts = 300000, 0; }
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
  static unsigned long long total = 5'000'000;
  return *millijoules = total += 500, 0;
}
}
