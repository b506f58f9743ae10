// Package generated holds documents to the declarations in the code that parts of them are made from.
//
// docs/settings.md and docs/metrics.md have tables between two marks. A test of the package that has the declarations
// makes the table and hands it over here: where the document differs the test fails and shows how, and with the flag
// -update it writes the document anew, which `make docs` does.
//
// So a setting or a metric cannot be added without its documentation. Only tests import it.
package generated
