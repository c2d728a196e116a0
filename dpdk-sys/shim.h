/* What Rust cannot call: macros, thread-local variables and static inline functions of DPDK.
 * Bursts and the common path of buffers are written in Rust; their C versions here are the slow
 * path and the oracle that tests compare the Rust versions with.
 */
#ifndef DPX_SHIM_H
#define DPX_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

/* rte_errno of the calling thread. */
int dpx_errno(void);

/* rte_lcore_id(): LCORE_ID_ANY in a thread that EAL does not know. */
unsigned int dpx_lcore_id(void);

/* rte_rdtsc(): the time-stamp counter, not serialising. */
uint64_t dpx_rdtsc(void);

/* rte_mempool_get_bulk() and rte_mempool_put_bulk(): with the cache of the calling lcore if any. */
int dpx_mempool_get_bulk(struct rte_mempool *pool, void **objects, unsigned int count);
void dpx_mempool_put_bulk(struct rte_mempool *pool, void *const *objects, unsigned int count);

/* rte_pktmbuf_alloc_bulk() and rte_pktmbuf_free_bulk(). */
int dpx_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);
void dpx_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count);

/* rte_pktmbuf_linearize(): a chain becomes one segment, or -1 if it does not fit. */
int dpx_mbuf_linearize(struct rte_mbuf *mbuf);

/* Frees the buffers that are in a ring of buffers. Returns how many there were. */
unsigned int dpx_ring_drain(struct rte_ring *ring);

/* rte_eth_rx_burst(), rte_eth_tx_burst(), rte_eth_tx_prepare(). */
uint16_t dpx_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t dpx_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t dpx_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);

/* Sends the log of DPDK to `sink`, a call for each piece of text, for the rest of the process.
 * `sink` may be called from any thread. Returns 0, or -1 if the stream could not be made. */
int dpx_log_to(void (*sink)(const char *text, size_t length));

#endif
