/* The headers that bindings are made from. Protocol headers are left out: frames are parsed in
 * Rust, and packed types that hold aligned ones cannot be expressed there. */
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_version.h>
#include <rte_lcore.h>
#include <rte_launch.h>
#include <rte_thread.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_eth_ring.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_malloc.h>
#include <rte_telemetry.h>
#include <rte_pdump.h>
#include <rte_log.h>
#include <rte_dev.h>
#include <rte_bus_vdev.h>
#include <rte_timer.h>

#include "shim.h"
