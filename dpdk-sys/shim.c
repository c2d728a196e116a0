#define _GNU_SOURCE
#include <stdio.h>
#include <sys/types.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_cycles.h>

#include "shim.h"

int dpx_errno(void)
{
	return rte_errno;
}

unsigned int dpx_lcore_id(void)
{
	return rte_lcore_id();
}

uint64_t dpx_rdtsc(void)
{
	return rte_rdtsc();
}

int dpx_mempool_get_bulk(struct rte_mempool *pool, void **objects, unsigned int count)
{
	return rte_mempool_get_bulk(pool, objects, count);
}

void dpx_mempool_put_bulk(struct rte_mempool *pool, void *const *objects, unsigned int count)
{
	rte_mempool_put_bulk(pool, objects, count);
}

int dpx_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, count);
}

void dpx_mbuf_free_bulk(struct rte_mbuf **mbufs, unsigned int count)
{
	rte_pktmbuf_free_bulk(mbufs, count);
}

int dpx_mbuf_linearize(struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_linearize(mbuf);
}

unsigned int dpx_ring_drain(struct rte_ring *ring)
{
	void *object;
	unsigned int drained = 0;

	while (rte_ring_dequeue(ring, &object) == 0) {
		rte_pktmbuf_free(object);
		drained++;
	}
	return drained;
}

uint16_t dpx_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

uint16_t dpx_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, mbufs, count);
}

uint16_t dpx_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_tx_prepare(port, queue, mbufs, count);
}

static void (*log_sink)(const char *text, size_t length);

static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	(void)cookie;
	log_sink(text, length);
	return (ssize_t)length;
}

int dpx_log_to(void (*sink)(const char *text, size_t length))
{
	static const cookie_io_functions_t functions = { .write = log_write };
	FILE *stream;

	log_sink = sink;
	stream = fopencookie(NULL, "w", functions);
	if (stream == NULL)
		return -1;
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	return rte_openlog_stream(stream);
}
