// Package bench measures the provider between a real wasmCloud host and a real Apache Kafka. What is here is the part
// of it that needs neither: driving load, statistics, CPU time of processes, and how results are written down. The
// measurements themselves are tests with the build tag bench; see README.md.
package bench
