// Package attacks runs the program with little memory and does to it what whoever writes to a topic, authors a link,
// calls from a component, sits on the lattice or poses as a broker may do. Its resident memory is to stay below
// provider_max_memory, as the kernel counts it, and a link that has nothing to do with it is to be served all the time.
package attacks
