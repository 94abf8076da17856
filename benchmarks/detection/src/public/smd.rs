//! SMD, the Server Machine Dataset: 38 metrics a minute of real servers, and which minutes were bad.
//!
//! From Su et al., "Robust Anomaly Detection for Multivariate Time Series through Stochastic Recurrent Neural
//! Network" (KDD 2019), by way of zhhlee/InterFusion: a file `.npz` a machine, with `train` (T, 38) of
//! ordinary days, `test` (T, 38) and `test_label` (T,).

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;

/// One machine's metrics; a row is a minute.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The file's name without its ending: `machine-1-6`.
    pub name: String,
    /// What is ordinary.
    pub train: Vec<Vec<f32>>,
    /// What is judged.
    pub test: Vec<Vec<f32>>,
    /// Which rows of `test` belong to an anomaly.
    pub labels: Vec<bool>,
}

/// Reads all machines of the folder `smd`, in the order of their names.
///
/// # Errors
/// The folder cannot be read, or a file holds something else.
pub fn read(folder: &Path) -> Result<Vec<Machine>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
    paths.sort();
    paths
        .iter()
        .map(|path| machine(path).with_context(|| format!("cannot read {}", path.display())))
        .collect()
}

fn machine(path: &Path) -> Result<Machine> {
    let mut file = NpzReader::new(File::open(path)?)?;
    let labels: Array1<u8> = file.by_name("test_label").context("test_label")?;
    let machine = Machine {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        train: rows(&mut file, "train")?,
        test: rows(&mut file, "test")?,
        labels: labels.iter().map(|label| *label != 0).collect(),
    };
    let (rows, labels) = (machine.test.len(), machine.labels.len());
    ensure!(rows == labels, "{rows} rows have {labels} labels");
    Ok(machine)
}

fn rows(file: &mut NpzReader<File>, name: &str) -> Result<Vec<Vec<f32>>> {
    let table: Array2<f32> = file.by_name(name).with_context(|| name.to_owned())?;
    Ok(table.rows().into_iter().map(|row| row.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use ndarray_npy::NpzWriter;

    use super::*;

    fn folder(name: &str, labels: &Array1<u8>) -> Result<PathBuf> {
        let folder = std::env::temp_dir().join(format!("smd-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let mut file = NpzWriter::new_compressed(File::create(folder.join("machine-1-1.npz"))?);
        file.add_array("train", &array![[1_f32, 2.0]])?;
        file.add_array("test", &array![[3_f32, 4.0], [5.0, 6.0]])?;
        file.add_array("test_label", labels)?;
        file.finish()?;
        Ok(folder)
    }

    #[test]
    fn a_machine_is_read_row_by_row() -> Result<()> {
        let folder = folder("rows", &array![0, 1])?;
        let machines = read(&folder)?;
        std::fs::remove_dir_all(&folder)?;
        let [machine] = machines.as_slice() else { anyhow::bail!("{} machines", machines.len()) };
        assert_eq!(machine.name, "machine-1-1");
        assert_eq!(machine.train, [[1.0, 2.0]]);
        assert_eq!(machine.test, [[3.0, 4.0], [5.0, 6.0]]);
        assert_eq!(machine.labels, [false, true]);
        Ok(())
    }

    #[test]
    fn a_row_without_a_label_is_refused_with_the_name_of_its_file() -> Result<()> {
        let folder = folder("labels", &array![0])?;
        let said = read(&folder).err().map(|error| format!("{error:#}")).unwrap_or_default();
        std::fs::remove_dir_all(&folder)?;
        assert!(said.contains("machine-1-1.npz") && said.contains("2 rows have 1 labels"), "{said}");
        Ok(())
    }
}
